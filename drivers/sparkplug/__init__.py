"""Gateways of other makers that send Sparkplug B: nothing of theirs is polled, so there is a profile and no driver."""
