"""DCT-SNN (Garg et al., ICCV 2021) against arrays made with the authors' code."""

import jax
import numpy as np
import pytest

from hdlif_jax import encodings
from tests.golden.cases import cases


def nhwc(array):
    return np.moveaxis(array, -3, -1)


def nchw(array):
    return np.moveaxis(np.asarray(array), -1, -3)


@pytest.mark.parametrize("case", cases("dct_snn"))
def test_the_encoder(case):
    images = nhwc(case.float32("image_nchw"))
    seen = encodings.to_ycbcr(images)
    case.close("ycbcr", nchw(seen))
    matrix, order = encodings.dct_matrix(4), encodings.zigzag(4)
    case.close("transform", matrix)
    case.close("bases", np.einsum("ui,vj->uvij", matrix, matrix))
    case.exact("order", order)
    slices = encodings.dct_slices(seen)
    case.close("slices", nchw(slices))
    case.close("coeff_block00", matrix @ np.asarray(seen)[0, :4, :4, 0] @ matrix.T)
    low, high = encodings.dct_thresholds(slices)
    case.close("enc_threshold_neg", low)
    case.close("enc_threshold_pos", high)
    code = encodings.dct(len(case["enc_spikes"]))
    case.exact("enc_spikes", nchw(code(jax.random.key(0), images)))
