"""Synthetic voices: harmonics of a gliding pitch under the formants of vowels, for networks that hear speech. They are no speech."""

import numpy as np

from qsim.model.network import Array

RATE = 16_000
# First three formants in Hz of a, e, i, o, u, a man's: G. E. Peterson, H. L. Barney, J. Acoust. Soc. Am. 24 (1952), Table II.
VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))
BANDWIDTHS = (80.0, 120.0, 200.0)
SYLLABLE = 0.2  # seconds


def voice(random: np.random.Generator, seconds: float, pitch: float, tract: float) -> Array:
    """Return float64 samples of random vowels at ``pitch`` Hz, formants ``tract`` times those of the table, largest magnitude 1."""
    parts = [_syllable(random, pitch, tract) for _ in range(int(np.ceil(seconds / SYLLABLE)))]
    wave = np.concatenate(parts)[: round(seconds * RATE)]
    wave = wave + 0.003 * np.abs(wave).max() * random.standard_normal(wave.size)
    found: Array = wave / np.abs(wave).max()
    return found


def _syllable(random: np.random.Generator, pitch: float, tract: float) -> Array:
    time = np.arange(round(SYLLABLE * RATE)) / RATE
    own = pitch * (1 + 0.08 * random.uniform(-1, 1) + 0.1 * (time / SYLLABLE - 0.5))
    phase = 2 * np.pi * np.cumsum(own) / RATE
    formants = tract * np.array(VOWELS[random.integers(len(VOWELS))], dtype=np.float64)
    wave = np.zeros(time.size)
    for number in range(1, int(4000 / pitch)):
        frequency = number * pitch
        gain = sum(1 / (1 + ((frequency - centre) / width) ** 2) / (place + 1)
                   for place, (centre, width) in enumerate(zip(formants, BANDWIDTHS, strict=True)))  # fmt: skip
        wave += (gain + 0.01) / number**0.5 * np.sin(number * phase)
    swell: Array = np.sin(np.pi * (0.05 + 0.9 * time / SYLLABLE)) * wave
    return swell


def mel_spectrogram(wave: Array, bins: int = 40, window: int = 400, hop: int = 160) -> Array:
    """Return float32 [frames, bins]: power in triangles on Slaney's mel scale, each of unit area; frames centred, zeros outside.

    As librosa 0.9 and later computes it by default.
    """
    padded = np.pad(wave, window // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    power = np.abs(np.fft.rfft(frames * hann)) ** 2
    return (power @ _triangles(bins, window).T).astype(np.float32)


def _triangles(bins: int, window: int) -> Array:
    edges = _hertz(np.linspace(0, _mel(RATE / 2), bins + 2))
    frequencies = np.fft.rfftfreq(window, 1 / RATE)
    rise = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    area: Array = 2 / (edges[2:] - edges[:-2])
    return np.maximum(0, np.minimum(rise, fall)) * area[:, None]


def _mel(hertz: float) -> float:
    """Slaney's scale: linear to 1 kHz, then 27 steps to each factor 6.4."""
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000) / np.log(6.4))


def _hertz(mel: Array) -> Array:
    found: Array = np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))
    return found
