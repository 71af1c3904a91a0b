# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The rooms of scripts/bench: command, enclosure, servers, settings, clients, rows and figures."""
