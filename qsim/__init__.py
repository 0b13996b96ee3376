"""qsim: what a compressed neural network costs on real hardware, before it is built.

The reading order of the source is in README.md; the architecture in docs/architecture.md. Importing this
package does no work: every room is imported where it is used.
"""

__version__ = "0.1.0"
