"""The pages of recharging: the form, the payment card, the history."""
