"""Tokens that nobody has counted."""

import pytest

from plugin_sdk.estimate import (
    BYTES_PER_AUDIO_TOKEN,
    FILE_TOKENS,
    IMAGE_TOKENS,
    input_tokens,
    output_tokens,
)

DATA = b"QUJD" * 2_500


def test_text_is_a_third_of_its_bytes_rounded_up() -> None:
    assert [input_tokens(size) for size in (0, 1, 3, 4)] == [0, 1, 1, 2]


def test_output_is_a_quarter_of_its_bytes_rounded_up() -> None:
    assert [output_tokens(size) for size in (0, 1, 4, 5)] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        (b'{"type":"image_url","image_url":{"url":"data:image/png;base64,%b"}}' % DATA, IMAGE_TOKENS),
        (b'{"type":"image_url","image_url":"data:image/png;base64,%b"}' % DATA, IMAGE_TOKENS),
        (
            b'{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "%b"}}'
            % DATA,
            IMAGE_TOKENS,
        ),
        (
            b'{"type":"input_audio","input_audio":{"data":"%b","format":"wav"}}' % DATA,
            len(DATA) // BYTES_PER_AUDIO_TOKEN,
        ),
        (b'{"file":{"file_data":"data:application/pdf;base64,%b"}}' % DATA, FILE_TOKENS + len(DATA) // 50),
        (b'{"video_url":{"url":"data:video/mp4;base64,%b"}}' % DATA, FILE_TOKENS + len(DATA) // 50),
        (b'{"type":"image_url","image_url":{"url":"https:\\/\\/example.com\\/a.png"}}', IMAGE_TOKENS),
        (b'{"type":"text","text":"%b"}' % DATA, len(DATA) // 3),
        (b'{"type":"text","text":"\\"url\\":\\"data:image/png;base64,%b\\""}' % DATA, len(DATA) // 3),
    ],
)
def test_media_have_declared_figures_and_text_that_looks_like_them_has_none(part: bytes, tokens: int) -> None:
    found = input_tokens(len(part), [part])
    assert tokens <= found <= tokens + 50


def test_base64_with_escaped_slashes_is_base64() -> None:
    part = b'{"type":"image_url","image_url":{"url":"data:image\\/png;base64,%b"}}' % (b"AB\\/C" * 2_000)
    assert input_tokens(len(part), [part]) < IMAGE_TOKENS + 50
