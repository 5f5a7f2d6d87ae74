"""Options that targets on Google Cloud share."""

from typing import Any

from .options import matching, option

#: https://cloud.google.com/compute/docs/regions-zones
REGION = r"[a-z]+-[a-z]+\d+"
_ACCOUNT = r"[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z0-9.:-]+\.gserviceaccount\.com"


def region(default: str, help: str) -> Any:
    """Declare the option of the region."""
    return option(default, help, matching(REGION, "a region such as europe-west1"))


def service_account(default: str) -> Any:
    """Declare the option of the service account.

    Parameters
    ----------
    default : whose it is unless one is given, in words.
    """
    help = f"service account, which needs no roles [default: {default}]"
    return option("", help, matching(_ACCOUNT, "NAME@PROJECT.iam.gserviceaccount.com"))
