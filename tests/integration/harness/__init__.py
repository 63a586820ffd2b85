"""Real peers for Fedgate, each a throw-away: certificates, DNS, Prosody, SIP user agents, the daemon.

Every piece takes the directory it may write to and an address of its own in 127.0.0.0/8, waits for
conditions and never sleeps blindly, and ends only the processes that it started.
"""
