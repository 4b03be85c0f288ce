"""Facts about large models: who we are to a provider, what can be asked for, what it costs, what was used."""

from .catalogue import Alias, Model
from .conversations import ChatMessage, ChatSession, SearchWords, Spoken
from .credentials import Credential, provider_choices
from .lexemes import LexemesField
from .prices import ModelPrice, ServiceTierFactor, kind_choices
from .responses import KeptResponse, KeptTotal
from .safety import SafetySettings, SafetyVerdict, SafetyWord, moderator_choices
from .sums import UsageDaySum, UsageDaySumMark, UsageSum
from .usage import Usage
