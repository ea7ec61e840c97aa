"""The machine that every service is: batch, store, relay, timers, replay, proof."""
