"""What a live tap makes of its configuration."""

from tapwatch.config import Config, FlowConfig
from tapwatch.daemon import live_config


def test_the_hash_seed_of_a_live_tap_is_a_random_one():
    """Nobody can aim at a bucket of its flow table; all else is as the file says."""
    config = Config(flows=FlowConfig(capacity=2048))

    made = [live_config(config) for _ in range(8)]

    assert len({each.flows.hash_seed for each in made}) == 8
    assert max(each.flows.hash_seed for each in made) > 1 << 56
    for each in made:
        flows = each.flows.model_copy(update={"hash_seed": config.flows.hash_seed})
        assert each.model_copy(update={"flows": flows}) == config


def test_a_hash_seed_that_the_file_names_is_kept():
    """Be it 0: who names one wants runs that repeat."""
    for seed in (0, 7):
        assert live_config(Config(flows=FlowConfig(hash_seed=seed))).flows.hash_seed == seed
