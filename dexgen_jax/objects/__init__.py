"""The things a hand can hold: unions of primitives, and a catalogue of named ones."""
