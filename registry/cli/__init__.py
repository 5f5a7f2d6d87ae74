"""What every command shares: its options, errors in one line, output at the terminal, interrupts."""
