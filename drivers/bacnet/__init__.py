"""BACnet/IP: controllers whose objects hold a present value and say how it is."""
