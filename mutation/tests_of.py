"""The tests that mutations name, cheapest first: most need no model, as they run in Amaranth's simulator or are proofs."""

_PROOF = "tests/formal/test_proofs.py::test_quick_proofs_hold_and_are_not_empty"
QUEUE_PROOF, FORK_PROOF, CODEBOOK_PROOF = f"{_PROOF}[queue of 2]", f"{_PROOF}[fork of 3]", f"{_PROOF}[codebook]"
LATENCIES = "tests/rtl/test_units.py::test_latencies_are_those_of_the_timing_table"

_TOP = "tests/rtl/test_top"
COUNTERS = f"{_TOP}_units.py::test_counters_add_up_what_happened_since_the_clear"
BEST = f"{_TOP}_units.py::test_the_best_output_is_the_first_of_the_largest"
STORED = f"{_TOP}_units.py::test_what_is_stored_is_read_by_the_next_layer"

LANE = f"{_TOP}_lane.py::test_every_sum[half_up]"

FLAWS = f"{_TOP}_errors.py::test_flaws_of_descriptors_are_told_and_do_no_harm"
LAST_ROW = "tests/rtl/test_image.py::test_the_last_row_has_the_pes_that_own_one"
LAST_PLACES = f"{_TOP}_errors.py::test_the_last_places_of_the_memories_may_be_used"
LAST_WEIGHTS = f"{_TOP}_errors.py::test_weights_beyond_the_memory_are_refused"
INPUT_LENGTH = f"{_TOP}_errors.py::test_an_input_of_the_wrong_length"
TIMEOUT = f"{_TOP}_errors.py::test_a_layer_may_take_as_long_as_the_limit_and_no_longer"
NO_LAST = f"{_TOP}_errors.py::test_a_list_without_a_last_layer"
SHORT_LIST = f"{_TOP}_errors.py::test_a_list_may_end_before_the_memory_does"
ABORT = f"{_TOP}_errors.py::test_the_host_can_give_up_at_any_time"
IDLE_ABORT = f"{_TOP}_errors.py::test_an_abort_without_a_run_is_no_error"

WAITING_INPUT = f"{_TOP}_network.py::test_the_next_input_may_be_offered_at_any_time"
LAST_ITEM = f"{_TOP}_network.py::test_the_last_item_finds_idle_pes"
BUSY_LOAD = f"{_TOP}_network.py::test_words_on_the_load_bus_are_ignored_during_a_run"


def network(kind: str) -> tuple[str, ...]:
    """Outputs, counters and set-up of a small network on PEs of ``kind``."""
    names = ("outputs_are_those_of_the_definition", "counters_are_those_of_the_engine", "setup_is_what_the_sequencer_promises")
    return tuple(f"{_TOP}_network.py::test_{name}[{kind}]" for name in names)


def unit(bench: str) -> tuple[str, ...]:
    """A bench of one unit under Verilator."""
    return (f"tests/rtl/test_units.py::test_unit[{bench}]",)


HUFFMAN = ("tests/rtl/test_huffman.py::test_random_streams", "tests/rtl/test_huffman.py::test_damaged_streams")
PYRAMID = ("tests/rtl/test_pyramid.py::test_pyramid_units",)
SPARSE, DENSE, CODEBOOK, PVQ = (network(kind) for kind in ("sparse", "dense", "codebook", "pvq"))
