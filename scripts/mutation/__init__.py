# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The rooms of scripts/mutants: command, tree, programs and trials; weave.rs writes the changes in."""
