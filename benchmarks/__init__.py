"""Speed and quality beside a peer, measured in one run; never part of the timed tests."""
