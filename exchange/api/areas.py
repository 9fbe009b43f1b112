"""The areas of the registry that are answered by HTTP: what adds the routes of each, and the forms that they take and give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from fastapi import FastAPI

from exchange.api import (
    account_routes,
    catalogue_routes,
    contract_forms,
    contract_routes,
    correction_forms,
    correction_routes,
    demand_forms,
    demand_routes,
    harvest_routes,
    item_forms,
    item_routes,
    licence_type_routes,
    notice_forms,
    notice_routes,
    party_forms,
    party_routes,
    registry_forms,
    registry_routes,
    search_forms,
    search_routes,
    terms_forms,
    terms_routes,
    usage_routes,
)
from exchange.api.registry_frame import Problems
from exchange.api.services import Services

ROUTES: Final[tuple[Callable[[FastAPI, Services, Problems], None], ...]] = (
    search_routes.search_routes,
    registry_routes.registry_routes,
    correction_routes.correction_routes,
    demand_routes.demand_routes,
    usage_routes.usage_routes,
    party_routes.party_routes,
    account_routes.account_routes,
    contract_routes.contract_routes,
    contract_routes.grant_routes,
    harvest_routes.harvest_routes,
    catalogue_routes.catalogue_routes,
    notice_routes.notice_routes,
    terms_routes.terms_routes,
    item_routes.item_routes,
    licence_type_routes.licence_type_routes,
)
FORMS: Final[tuple[type[msgspec.Struct] | Any, ...]] = (
    *registry_forms.FORMS,
    *correction_forms.FORMS,
    *demand_forms.FORMS,
    *party_forms.FORMS,
    *contract_forms.FORMS,
    *harvest_routes.FORMS,
    *notice_forms.FORMS,
    *terms_forms.FORMS,
    *item_forms.FORMS,
    *search_forms.FORMS,
)
