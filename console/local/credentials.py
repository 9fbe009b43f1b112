"""New passwords for an installation of this machine."""

from __future__ import annotations

from console.local import airflow, databases, installation, postgres
from console.local.home import find_home


def reset(*, databases: bool = False) -> dict[str, str]:
    """Make new passwords, keep them in the home, and return those that a person uses.

    Airflow knows its new one at once. The databases' roles are set while nothing else runs.

    Args:
        databases: those of the databases' roles too.

    Raises:
        RejectedError: there is no home, or the hub runs and ``databases`` is asked for.
    """
    home = find_home()
    if databases:
        installation.refuse_running(home, "resetting the databases' passwords")
        _reset_roles()
        home = find_home()
    home.local["airflow_admin_password"] = postgres.new_password()
    home.save()
    if airflow.folder(home).exists():
        airflow.write_password(home)
    return {"Airflow, user admin": home.secret("airflow_admin_password")}


def _reset_roles() -> None:
    home = find_home()
    with home.lock():
        cluster = home.cluster()
        if not (cluster.data / "PG_VERSION").exists():
            return
        postgres.start(cluster)
        try:
            for role in (*databases.ROLES, postgres.SUPERUSER):
                fresh = postgres.new_password()
                url = home.cluster().url()
                home.local[f"{role}_password"] = fresh
                databases.set_password(url, role, fresh)
            if not home.named("database_url"):
                home.settings["database_url"] = home.role_url(databases.OWNER)
                home.settings["api_database_url"] = home.role_url(databases.API, "onedoor")
                home.settings["registry_database_url"] = home.role_url(databases.REGISTRY, "onedoor")
            home.save()
        finally:
            postgres.stop(cluster.data)
