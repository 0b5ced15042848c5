"""What axe-core finds on a page that keeps people with a screen reader or a keyboard out."""

from __future__ import annotations


def faults(page):
    """Serious and critical findings, as rule and place."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {node['target']} {node['html'][:120]}" for one in grave for node in one["nodes"]]
