"""Pictures come out as pictures and nothing else; what is none, or too much, is refused with a sentence."""

import io
import struct
import time
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hub.documents import picture
from hub.documents.picture import clean
from hub.errors import InvalidError

HTML = b"<html><script>alert(1)</script></html>"


def drawn(kind: str = "JPEG", size: tuple[int, int] = (40, 20), mode: str = "RGB", **options: object) -> bytes:
    """A picture with a red left half."""
    image = Image.new("RGB", size, 0)
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    image = image.convert("L").convert(mode) if mode == "I;16" else image.convert(mode)
    if mode == "RGBA":
        image.putalpha(128)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("Evil.class", b"\xca\xfe\xba\xbe")
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims to be of that size; its rows are zeros that pack well."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min((width // 8 + 1) * height, 10_000_000)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
    ("kind", "mode", "media_type"),
    [
        ("JPEG", "RGB", "image/jpeg"), ("JPEG", "L", "image/jpeg"), ("JPEG", "CMYK", "image/jpeg"),
        ("PNG", "RGB", "image/jpeg"), ("PNG", "RGBA", "image/png"), ("PNG", "P", "image/jpeg"),
        ("PNG", "1", "image/jpeg"), ("PNG", "I;16", "image/jpeg"),
        ("WEBP", "RGB", "image/jpeg"), ("WEBP", "RGBA", "image/png"),
    ],
)  # fmt: skip
def test_a_picture_is_told_by_its_content_and_written_anew(kind: str, mode: str, media_type: str) -> None:
    kept = clean(drawn(kind, mode=mode))
    assert (kept.media_type, kept.width, kept.height) == (media_type, 40, 20)
    with opened(kept.data) as image:
        image.load()
        assert f"image/{str(image.format).lower()}" == media_type
        assert image.size == (40, 20)
    assert kept.name.removesuffix(".jpg").removesuffix(".png").isalnum()
    assert len(kept.name) == 68


def test_the_same_picture_has_the_same_name() -> None:
    assert clean(drawn()) == clean(drawn())
    assert clean(drawn()).name != clean(drawn(size=(41, 20))).name


def test_position_camera_comment_and_profile_do_not_survive() -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (31.0, 13.0, 44.0)
    for kind in ("JPEG", "PNG", "WEBP"):
        sent = drawn(kind, exif=exif, comment=b"by SecretPerson", icc_profile=b"SecretProfile" * 20)
        assert b"SecretCamera" in sent
        kept = clean(sent).data
        assert b"Secret" not in kept
        with opened(kept) as image:
            assert dict(image.getexif()) == {}
            assert not {"icc_profile", "exif", "comment", "xmp"} & set(image.info)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_phone_held_sideways_gives_an_upright_picture(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    kept = clean(drawn("JPEG", exif=exif))
    assert (kept.width, kept.height) == ((40, 20) if orientation < 5 else (20, 40))
    with opened(kept.data) as image:
        red, _, _ = image.getpixel((2, 2))  # type: ignore[misc]
    assert (red > 128) == (orientation in (1, 4, 5, 6))


@pytest.mark.parametrize("tail", [HTML, archive(), b"%PDF-1.7\n", b"\x7fELF", b"MZ", b"#!/bin/sh\n"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_hangs_behind_a_picture_is_gone(kind: str, tail: bytes) -> None:
    kept = clean(drawn(kind) + tail).data
    assert tail[:4] not in kept
    assert not zipfile.is_zipfile(io.BytesIO(kept))


def test_what_hides_inside_a_picture_is_gone() -> None:
    sent = drawn("JPEG", comment=HTML)
    assert HTML in sent
    assert b"script" not in clean(sent).data
    text = chunk(b"tEXt", b"Comment\x00" + HTML)
    sent = drawn("PNG")
    sent = sent[:33] + text + sent[33:]
    assert b"script" not in clean(sent).data


@pytest.mark.parametrize(
    "data",
    [
        HTML,
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><svg>&x;</svg>",
        drawn("GIF") + archive(),
        drawn("GIF", save_all=True, append_images=[Image.new("RGB", (40, 20), "blue")]),
        drawn("BMP"), drawn("TIFF"), drawn("ICO"), drawn("PPM"),
        archive(),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"%PDF-1.7\n",
        b"\x00" * 100,
        HTML + drawn("JPEG"),
    ],
    ids=range(14),
)  # fmt: skip
def test_what_is_no_jpeg_png_or_webp_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidError, match="Only JPEG, PNG and WebP pictures can be kept"):
        clean(data)


def test_an_empty_file_and_one_that_is_too_big_are_refused() -> None:
    with pytest.raises(InvalidError, match="is empty"):
        clean(b"")
    with pytest.raises(InvalidError, match="bigger than 8 MB"):
        clean(drawn() + bytes(picture.BYTES_MAX))


@pytest.mark.parametrize(
    ("width", "height"), [(50_000, 50_000), (8_000, 8_000), (2_000_000, 21), (2**31 - 1, 2**31 - 1)]
)
def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded(width: int, height: int) -> None:
    bomb = png_of(width, height)
    begun = time.perf_counter()
    with pytest.raises(InvalidError, match="more than 40 million pixels"):
        clean(bomb)
    assert time.perf_counter() - begun < 0.2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_picture_that_breaks_off_is_refused(kind: str, part: float) -> None:
    sent = drawn(kind, size=(400, 300))
    with pytest.raises(InvalidError, match=r"damaged|Only JPEG"):
        clean(sent[: int(len(sent) * part)])


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_a_moving_picture_the_first_frame_is_kept(kind: str) -> None:
    more = [Image.new("RGB", (40, 20), "blue")] * 5
    kept = clean(drawn(kind, save_all=True, append_images=more, duration=100))
    with opened(kept.data) as image:
        assert getattr(image, "n_frames", 1) == 1
        assert image.getpixel((2, 2))[0] > 200  # type: ignore[index]


def test_two_pictures_in_one_jpeg_as_phones_make_them_are_one() -> None:
    sent = drawn("MPO", save_all=True, append_images=[Image.new("RGB", (40, 20), "blue")])
    assert clean(sent).media_type == "image/jpeg"


def test_a_big_picture_is_made_smaller_in_its_shape() -> None:
    kept = clean(drawn(size=(6_000, 3_000)))
    assert (kept.width, kept.height) == (2_560, 1_280)


def test_a_thin_picture_keeps_a_pixel_of_height() -> None:
    assert clean(drawn("PNG", size=(30_000, 1))).height == 1


SENT = [drawn(kind, size=(60, 40)) for kind in ("JPEG", "PNG", "WEBP")]


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_no_damage_brings_anything_but_a_picture_or_a_sentence(data: st.DataObject) -> None:
    sent = bytearray(data.draw(st.sampled_from(SENT)))
    for _ in range(data.draw(st.integers(1, 8))):
        sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    try:
        kept = clean(bytes(sent))
    except InvalidError:
        return
    with opened(kept.data) as image:
        image.load()
