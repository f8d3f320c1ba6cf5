from hdlif_jax import nn
from hdlif_jax.nn.declared import definer, holds
from hdlif_jax.nn.intercept import intercept


class Base(nn.Module):
    operations = 3

    def __call__(self, x):
        return x


class Same(Base):
    pass


class Anew(Base):
    def __call__(self, x):
        return 2 * x


class SaidAnew(Anew):
    operations = 1


def test_what_is_said_holds_of_inherited_code_and_not_of_code_written_anew():
    assert holds(Base, "operations", "__call__")
    assert holds(Same(), "operations", "__call__")
    assert not holds(Anew(), "operations", "__call__")
    assert holds(SaidAnew(), "operations", "__call__")
    assert definer(SaidAnew, "__call__") is Anew


def test_an_intercepted_module_says_what_it_said():
    for kind, expected in ((Same, True), (Anew, False)):
        module = kind()
        intercept(module, lambda path, module: lambda call, x: call(x))
        assert holds(module, "operations", "__call__") == expected
