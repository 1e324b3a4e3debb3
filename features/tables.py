"""Every table of a lake that is written again and again. Example sets are none: they are written once, and go as a whole."""

from features.demand import DEMAND
from features.erased_users import ERASED_USERS
from features.events import EVENTS
from features.identities import IDENTITIES, IDENTITY_FILES
from features.ingested_files import INGESTED_FILES
from features.item_features import ITEM_FEATURES
from features.items import ITEMS
from features.monitoring import MONITORING
from features.predictions import PREDICTIONS
from features.promotions import PROMOTIONS
from features.quality import QUALITY
from features.quarantine import QUARANTINE
from features.rules import RULES
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from features.similar_items import SIMILAR_ITEMS
from features.user_features import USER_FEATURES
from features.user_groups import USER_GROUPS
from features.user_item_features import USER_ITEM_FEATURES
from features.users import USERS

TABLES = (
    EVENTS,
    QUARANTINE,
    INGESTED_FILES,
    IDENTITIES,
    IDENTITY_FILES,
    ERASED_USERS,
    SESSIONS,
    SEQUENCES,
    ITEMS,
    USERS,
    USER_FEATURES.table,
    ITEM_FEATURES.table,
    USER_ITEM_FEATURES.table,
    USER_GROUPS,
    DEMAND,
    QUALITY,
    RULES,
    PREDICTIONS,
    SIMILAR_ITEMS,
    PROMOTIONS,
    MONITORING,
)
