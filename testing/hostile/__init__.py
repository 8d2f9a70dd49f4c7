"""What an attacker can send or ask, tried for real: `make hostile` runs all of it, `make test` a part."""
