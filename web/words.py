"""Screen words for the codes that the hub stores."""


def N_(msgid: str) -> str:  # noqa: N802 - the name by which Babel finds words to translate
    """Mark a word for the catalogue."""
    return msgid


WORDS: dict[str, str] = {
    "priority.critical": N_("Critical"),
    "priority.high": N_("High"),
    "priority.medium": N_("Medium"),
    "priority.low": N_("Low"),
    "alarm.unacknowledged": N_("Unacknowledged"),
    "alarm.acknowledged": N_("Acknowledged"),
    "alarm.returned": N_("Returned, unacknowledged"),
    "alarm.normal": N_("Cleared"),
    "event.raised": N_("raised"),
    "event.cleared": N_("cleared"),
    "event.acknowledged": N_("acknowledged"),
    "order.requested": N_("Requested"),
    "order.assigned": N_("Assigned"),
    "order.accepted": N_("Accepted"),
    "order.arrived": N_("On site"),
    "order.done": N_("Done"),
    "order.verified": N_("Verified"),
    "order.closed": N_("Closed"),
    "order.returned": N_("Given back"),
    "order.reopened": N_("Reopened"),
    "order.stopped": N_("Stopped"),
    "verb.request": N_("Request"),
    "verb.assign": N_("Assign"),
    "verb.accept": N_("Accept"),
    "verb.arrive": N_("I am on site"),
    "verb.complete": N_("Work is done"),
    "verb.return": N_("Give back"),
    "verb.verify": N_("Verify"),
    "verb.reopen": N_("Reopen"),
    "verb.close": N_("Close"),
    "verb.stop": N_("Stop"),
    "quality.192": N_("good"),
    "quality.64": N_("uncertain"),
    "quality.0": N_("bad"),
    "quality.500": N_("stale"),
    "role.administrator": N_("Administrator"),
    "role.engineer": N_("Engineer"),
    "role.manager": N_("Manager"),
    "role.technician": N_("Technician"),
    "role.billing": N_("Billing"),
    "role.security": N_("Security"),
    "role.auditor": N_("Auditor"),
    "role.integration": N_("Integration"),
    "role.contractor": N_("Contractor"),
    "role.tenant": N_("Tenant"),
    "factor.password": N_("Password"),
    "factor.totp": N_("Code of the phone"),
    "factor.recovery": N_("Recovery code"),
    "factor.oidc": N_("Company account"),
    "factor.oidc-mfa": N_("Company account with second factor"),
    "kind.rent": N_("Rent"),
    "kind.electricity": N_("Electricity"),
    "kind.water": N_("Water"),
    "rounding.ROUND_HALF_UP": N_("half up"),
    "rounding.ROUND_HALF_EVEN": N_("half to even"),
    "rounding.ROUND_DOWN": N_("down"),
    "rounding.ROUND_UP": N_("up"),
    "each.charge": N_("once per line"),
    "each.band": N_("per band"),
    "proration.actual_actual": N_("days of the month as they are"),
    "proration.thirty_360": N_("months of 30 days"),
    "proration.actual_365": N_("days of a year of 365"),
    "proration.actual_30": N_("days of a month of 30"),
    "skill.hvac": N_("HVAC"),
    "skill.electrical": N_("Electrical"),
    "skill.plumbing": N_("Plumbing"),
    "measure.energy": N_("Energy"),
    "measure.volume": N_("Volume"),
    "measure.power": N_("Power"),
    "measure.flow": N_("Flow"),
    "measure.power_factor": N_("Power factor"),
    "measure.frequency": N_("Frequency"),
    "measure.voltage_l1": N_("Voltage L1"),
    "measure.voltage_l2": N_("Voltage L2"),
    "measure.voltage_l3": N_("Voltage L3"),
    "measure.current_l1": N_("Current L1"),
    "measure.current_l2": N_("Current L2"),
    "measure.current_l3": N_("Current L3"),
    "measure.supply_temp": N_("Supply air temperature"),
    "measure.supply_setpoint": N_("Supply air set point"),
    "measure.return_temp": N_("Return air temperature"),
    "measure.outdoor_temp": N_("Outdoor air temperature"),
    "measure.fan_command": N_("Fan command"),
    "measure.fan_running": N_("Fan running"),
    "measure.cooling_valve": N_("Cooling valve"),
    "measure.filter_pressure": N_("Filter pressure drop"),
    "measure.freeze_trip": N_("Freeze protection"),
    "measure.status": N_("Status word"),
}


def word(code: str) -> str:
    """Give the English word of a code; a code that nobody named stands for itself, readably."""
    return WORDS.get(code, code.rpartition(".")[2].replace("_", " "))


SYSTEM = "plantroom"
SYSTEM_NAME = N_("Plantroom")


def actor(login: str) -> str:
    """Give who did something: the name of the machine for its own parts, else the login."""
    return SYSTEM_NAME if login.partition("/")[0] == SYSTEM else login


# Sentences of the hub that name nothing variable, as the pages show them.
SENTENCES = (
    N_("The name or the password is wrong, or the account is locked for a few minutes."),
    N_("This form is out of date; try again."),
    N_("There is no such page."),
    N_("This page cannot do that."),
    N_("There is no such work order."),
    N_("There is no such alarm."),
    N_("There is no such invoice."),
    N_("There is no such lease."),
    N_("This form is out of date or comes from elsewhere; reload the page and try again."),
    N_("Something went wrong here; it has been noted. Try again, or report the reference."),
    N_("Say in a few words what was done, or why the job goes back."),
    N_("Your role does not include this page or act; ask an administrator if it should."),
    N_("Only an engineer or administrator can acknowledge alarms."),
    N_("Choose an active technician to whom the work order goes."),
    N_("This step was already sent for another work order; reload the page and try again."),
    N_("This code is wrong, out of date or was used already; wait for the next one and try again."),
    N_("The password or the code is wrong, or was used already; wait for the next code and try again."),
    N_("Too many people are signing in right now; try again in a few seconds."),
    N_("A password has 10 to 128 characters; choose a longer or shorter one."),
    N_("This password would soon be guessed; choose another, for example four words that have nothing to do with you."),
    N_("This password stands in lists of stolen ones; choose another."),
    N_("This is one of your last 5 passwords; choose a new one."),
    N_("This link is not valid any more, or was used already; ask for a new one."),
    N_("This is not a mail address; write it like name@example.com."),
    N_("Somebody else of this organisation has this mail address; choose another."),
    N_("This code does not fit; check the time of the telephone, wait for the next code, try again."),
    N_("This form is out of date; open the page again."),
    N_("There is no such session."),
    N_("There is no such session any more; sign in again."),
    N_("A second factor is set up already; sign in with it to change it."),
    N_("Set up a second factor first; recovery codes stand in for it."),
)
