"""How the supervisor starts the service's processes."""

from resources.settings import Settings
from service.supervisor import next_pause_s, web_options


def test_the_ui_is_open_to_this_machine_only_until_a_setting_says_otherwise() -> None:
    assert web_options(Settings.from_environment({})) == []


def test_the_settings_of_the_ui_become_the_webserver_s_options() -> None:
    given = {"READ_ONLY": "on", "REPORT_ENDPOINTS": "on", "WEB_HOSTS": "ads.example, ads.internal"}
    allowed = ["--allow-host", "ads.example", "--allow-host", "ads.internal"]
    assert web_options(Settings.from_environment(given)) == ["--read-only", "--report-endpoints", *allowed]


def test_a_process_that_keeps_ending_waits_longer_and_one_that_lived_for_a_while_starts_at_once() -> None:
    assert [next_pause_s(pause_s, lived_s=2.0) for pause_s in (1.0, 2.0, 16.0, 30.0)] == [2.0, 4.0, 30.0, 30.0]
    assert next_pause_s(30.0, lived_s=31.0) == 1.0
