#!/bin/sh
# A damped oscillator, measured at eight times with Gaussian noise: a simulator without Python, to show the exchange.
#
# theta = (frequency, damping). Reads lines {"id": 17, "theta": [1.5, 0.2], "seed": 123} and answers {"id": 17, "x": [...]}.
# Random numbers come from the seed alone: the same line always gives the same answer.

while read -r line; do
  printf '%s\n' "$line" | awk '
    # A linear congruential generator modulo 2^31 - 1 (Lewis, Goodman and Miller 1969); products stay below 2^53.
    function uniform() { state = (state * 16807) % 2147483647; return state / 2147483647 }
    function normal() { return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform()) }
    function number(key,   rest) { rest = $0; sub(".*\"" key "\": *\\[?", "", rest); return rest + 0 }
    {
      id = number("id"); seed = number("seed"); frequency = number("theta")
      damping = $0; sub(".*\"theta\": *\\[[^,]*,", "", damping); damping += 0
      state = seed % 2147483646 + 1
      for (i = 0; i < 10; i++) uniform()
      if (damping > frequency) { printf "{\"id\": %.0f, \"error\": \"overdamped\"}\n", id; exit }
      omega = sqrt(frequency * frequency - damping * damping)
      printf "{\"id\": %.0f, \"x\": [", id
      for (i = 1; i <= 8; i++) printf "%s%.6f", (i > 1 ? ", " : ""), exp(-damping * i) * cos(omega * i) + 0.05 * normal()
      print "]}"
    }'
done
