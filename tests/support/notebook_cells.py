"""Cells for notebooks: kernels that run until somebody sets a word of `gate`."""

SETUP = """
import os, threading
from concurrent.futures import CancelledError
import numpy as np
import sharray as sh
from sharray.kernels import background

@sh.kernel
def endless(x, gate):
    sh.atomic.add(gate, 0, 1)
    while sh.atomic.load(gate, 1) == 0:
        x[0] += 1

@sh.kernel
def ranged(x, gate):
    for i in sh.prange(x.shape[0]):
        sh.atomic.add(gate, 0, 1)
        while sh.atomic.load(gate, 1) == 0:
            x[0] += 1

@sh.kernel
def add(x):
    for i in range(x.shape[0]):
        x[i] += 1

gate = sh.open("shm://gate")
x = sh.zeros(1000)
"""
