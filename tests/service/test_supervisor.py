"""How the supervisor starts the service's processes."""

from resources.settings import Settings
from service.supervisor import web_options


def test_the_ui_is_open_to_this_machine_only_until_a_setting_says_otherwise() -> None:
    assert web_options(Settings.from_environment({})) == []


def test_the_settings_of_the_ui_become_the_webserver_s_options() -> None:
    given = {"READ_ONLY": "on", "REPORT_ENDPOINTS": "on", "WEB_HOSTS": "ads.example, ads.internal"}
    allowed = ["--allow-host", "ads.example", "--allow-host", "ads.internal"]
    assert web_options(Settings.from_environment(given)) == ["--read-only", "--report-endpoints", *allowed]
