"""Every protocol that goes through the conformance suite, by name."""

from collections.abc import Callable, Mapping

from tests.contract.ground import Ground
from tests.contract.ground_bacnet import BacnetGround
from tests.contract.ground_cjt188 import Cjt188Ground
from tests.contract.ground_dlt645 import Dlt645Ground
from tests.contract.ground_mbus import SECONDARY, MbusGround
from tests.contract.ground_modbus import ModbusGround, SerialModbusGround
from tests.contract.ground_opcua import OpcuaGround

GROUNDS: Mapping[str, Callable[[], Ground]] = {
    "bacnet": BacnetGround,
    "cjt188": Cjt188Ground,
    "dlt645": Dlt645Ground,
    "mbus": MbusGround,
    "mbus-secondary": lambda: MbusGround(SECONDARY, apart=True),
    "modbus-tcp": lambda: ModbusGround("tcp"),
    "modbus-rtu-over-tcp": lambda: ModbusGround("rtu"),
    "modbus-rtu-serial": SerialModbusGround,
    "opcua": OpcuaGround,
}
