// The pages of recharging: the form with its live price, and the payment card.

import { watchCard } from "./card.js";
import { takeOverPayForms } from "./pay.js";
import { followAmount } from "./quote.js";

const form = document.querySelector("[data-recharge]");
if (form) followAmount(form);
takeOverPayForms();
watchCard();

// Going back from a card that replaced the form, and forward again: the address says what to show.
addEventListener("popstate", () => location.reload());
