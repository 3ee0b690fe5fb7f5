"""The compiled U-Net answers as cellpose's own does."""

from __future__ import annotations

import unittest

import numpy as np
import torch

from inference.openvino_unet import OpenVinoUNet, can_compile
from inference.segmenter import build_net

CPU = torch.device("cpu")


def untrained(width: int = 8):
    """A network whose batch norms have seen something."""
    torch.manual_seed(0)
    net = build_net({"nbase": [2, width, 2 * width, 4 * width, 8 * width]}).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.get_buffer("running_mean").normal_(0, 0.3)
            module.get_buffer("running_var").uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return net


@unittest.skipUnless(can_compile(CPU), "OpenVINO has no wheel for this machine")
class OpenVinoUNetTest(unittest.TestCase):
    def test_it_answers_as_the_network_does_for_each_image_of_a_batch(self):
        net = untrained()
        images = torch.rand(3, 2, 48, 80)
        with torch.inference_mode():
            expected, style = net(images)[:2]
        outputs, found = OpenVinoUNet(net, torch.float32)(images.numpy())
        np.testing.assert_allclose(outputs, expected, atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(found, style, atol=1e-5, rtol=1e-4)

    def test_one_graph_serves_images_of_any_size(self):
        net = untrained()
        compiled = OpenVinoUNet(net, torch.float32)
        for shape in ((1, 2, 8, 64), (2, 2, 64, 8), (1, 2, 224, 224)):
            images = torch.rand(shape)
            with torch.inference_mode():
                expected = net(images)[0]
            np.testing.assert_allclose(compiled(images.numpy())[0], expected, atol=1e-4, rtol=1e-4)

    def test_in_bfloat16_it_is_no_farther_off_than_the_network_itself(self):
        net = untrained()
        images = torch.rand(1, 2, 64, 64)
        with torch.inference_mode():
            expected = net(images)[0]
            with torch.autocast("cpu", torch.bfloat16):
                rounded = net(images)[0].float()
        outputs = OpenVinoUNet(net, torch.bfloat16)(images.numpy())[0]
        allowed = 1.5 * (rounded - expected).std()
        self.assertLess(float((outputs - expected.numpy()).std()), float(allowed))
        self.assertEqual(outputs.dtype, np.float32)
