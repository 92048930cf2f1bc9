"""What travels between gateway and hub: Sparkplug B topics and payloads as pure functions."""
