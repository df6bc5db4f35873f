"""What the page looks like, by day and by night."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c1f23; --paper: #fff; --soft: #f3f4f6; --line: #d5d9df; --faint: #5b636e;
  --yes: #17692f; --no: #b42318; --open: #8a5a00; --mark: #fff3bf; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #14171a; --soft: #1f2429; --line: #3a4149;
  --faint: #a0a8b2; --yes: #6fd08c; --no: #ff8f83; --open: #f0c060; --mark: #4d4210; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 72rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .6rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
h3 { font-size: 1.1rem; margin: 1.8rem 0 .4rem; }
p { margin: .5rem 0; max-width: 50rem; }
.faint { color: var(--faint); }
.yes { color: var(--yes); } .no { color: var(--no); } .unknown { color: var(--open); }
.verdict { border-left: .4rem solid; padding: .8rem 1rem; background: var(--soft); font-size: 1.15rem; margin: 1rem 0; }
.verdict p { color: var(--ink); margin: 0; max-width: none; }
code, .names, .place, td.value { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
code, .names, table.states { font-size: .88em; }
.names { overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { border: 1px solid var(--line); padding: .25rem .55rem; text-align: left; vertical-align: top; }
th { background: var(--soft); font-weight: 600; }
td.value { white-space: nowrap; }
td.changed { background: var(--mark); }
dt { font-weight: 600; margin-top: .7rem; } dd { margin: 0 0 0 1.2rem; max-width: 50rem; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .4rem 0; padding: 0 .7rem; }
details[open] { padding-bottom: .6rem; }
summary { cursor: pointer; padding: .4rem 0; }
summary:focus-visible, a:focus-visible { outline: 2px solid; }
details.violation { border-color: var(--no); border-width: 2px; }
details.violation > summary { color: var(--no); font-weight: 700; }
details.undecided { border-color: var(--open); border-width: 2px; }
.question { margin: .8rem 0 .2rem; }
a { color: inherit; }
"""
