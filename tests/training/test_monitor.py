from hdlif_jax.training.monitor import firing_problems


def test_names_silent_and_saturated_layers_and_says_what_to_do():
    problems = firing_problems({"a": 0.0, "b": 0.3, "c": 1.0, "d": float("nan")})
    assert [problem.split()[0] for problem in problems] == ["a", "c", "d"]
    assert "a never fires" in problems[0]
    assert "lower its threshold" in problems[0]
    assert "fires everywhere" in problems[1]
