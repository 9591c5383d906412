"""Which alerts belong to which episodes, by listing microseconds and pairs."""


def belongs(row_us, alert_ends, alert_ports, episode_ns, episode_ends, episode_port):
    """Rows and episodes as (first, last); ends as lists, the unknown ones None."""
    row = set(range(row_us[0], row_us[1] + 1))
    during = set(range(episode_ns[0] // 1000, episode_ns[1] // 1000 + 1))
    if not row & during:
        return False
    known = [end for end in episode_ends if end is not None]
    if len(set(alert_ends)) == 1:
        meets = not known or alert_ends[0] in known
    else:
        meets = all(end in alert_ends for end in known)
    port_meets = episode_port is None or not alert_ports or episode_port in alert_ports
    return meets and port_meets
