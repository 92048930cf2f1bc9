"""What users of other gateways complain of, and the test that shows that it cannot happen here."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# Project and number of the complaint, what it is; file and name of the test.
COMPLAINTS = {
    "thingsboard-gateway 2124, buffer wiped on each reconnect":
        "integration/test_edge_data_loss.py::test_a_buffer_is_not_wiped_on_each_reconnect",
    "thingsboard-gateway 2157, first seconds after a drop lost":
        "integration/test_edge_data_loss.py::test_the_first_seconds_after_a_drop_are_not_lost",
    "thingsboard-gateway 2098, duplicates from reading ahead":
        "integration/test_edge_data_loss.py::test_what_was_on_its_way_when_the_edge_ended_does_not_come_twice",
    "thingsboard-gateway 959, kept in memory only":
        "integration/test_edge_data_loss.py::test_without_a_word_in_the_site_file_readings_lie_on_disk",
    "thingsboard-gateway 2132, polling stops in a long outage":
        "integration/test_edge_data_loss.py::test_polling_does_not_stop_in_a_long_outage",
    "telegraf 18528, buffer on disk corrupt":
        "unit/test_edge_spool_damage.py::test_a_hurt_page_costs_its_own_frames_only",
    "telegraf 16500, buffer resent whole":
        "integration/test_edge_data_loss.py::test_a_restarted_edge_does_not_send_its_whole_buffer_again",
    "VOLTTRON 2286, trimming deletes all":
        "integration/test_edge_data_loss.py::test_trimming_a_full_buffer_takes_what_it_must_and_no_more",
    "thingsboard-gateway 1456, one bad device delays all":
        "integration/test_edge_rivals.py::test_a_dead_device_does_not_delay_those_on_other_lines",
    "thingsboard-gateway 1456, on one line too":
        "unit/test_edge_poller.py::test_a_dead_device_backs_off_to_a_minute_while_its_neighbour_is_polled",
    "thingsboard-gateway 1592, no reconnect":
        "contract/test_drivers.py::test_a_device_that_restarts_again_and_again_is_found_every_time",
    "thingsboard-gateway 1841, a write collides with polling":
        "integration/test_edge_commands.py::"
        "test_writes_and_polls_never_meet_on_the_line_and_writes_do_not_wait_for_a_cycle",
    "home-assistant 54345, a busy device recorded as 0":
        "integration/test_edge_rivals.py::test_a_busy_device_is_never_recorded_as_zero",
    "changes of value not renewed after a device has restarted":
        "contract/test_bacnet_cov.py::test_a_restart_that_nobody_saw_is_found_by_the_next_proof",
    "telegraf 15074, OPC UA never recovers after a restart of the server":
        "contract/test_opcua_driver.py::test_a_hundred_restarts_are_survived",
    "telegraf 19186, sessions that the server has forgotten":
        "contract/test_opcua_driver.py::test_a_session_that_the_server_forgot_is_made_anew_within_one_read",
    "telegraf 18787, a flood of sessions":
        "contract/test_opcua_driver.py::test_half_open_links_leave_no_row_of_sessions",
}  # fmt: skip


@pytest.mark.parametrize("complaint", COMPLAINTS)
def test_each_complaint_has_the_test_that_is_named(complaint: str) -> None:
    file, _, name = COMPLAINTS[complaint].partition("::")
    assert f"def {name}(" in (TESTS / file).read_text("utf-8")
