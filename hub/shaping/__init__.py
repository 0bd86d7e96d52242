"""What an integration does to lines before they are sent: choose, thin out, hide, change, join.

`rules` is what a user configures; `shaper` compiles it and applies it to whole chunks, by column;
`join` puts the lines of a stack trace together.
"""
