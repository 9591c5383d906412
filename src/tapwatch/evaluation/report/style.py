"""How the page looks: on light and dark ground, and on paper."""

from typing import Final

CSS: Final = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1d2126; --soft: #5b6470;
  --line: #d5dae0; --panel: #f5f7f9; --link: #1f66a8; --warn: #9a3b12; --warn-ground: #fdf0e8; }
@media (prefers-color-scheme: dark) { :root { --ground: #15181c; --ink: #e4e7eb; --soft: #a2abb6;
  --line: #363c44; --panel: #1d2127; --link: #79b4ec; --warn: #f0a47c; --warn-ground: #33221a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 76rem; background: var(--ground);
  color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.35rem; margin: 2.6rem 0 .6rem; padding-top: .6rem;
  border-top: 2px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; }
p { max-width: 48rem; margin: .4rem 0; }
a { color: var(--link); }
.soft, figcaption, caption { color: var(--soft); }
code, pre { font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 4px;
  padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin: .6rem 0 1rem; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .22rem .45rem; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child, .words td, .words th { text-align: left; }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 13rem; }
.words td, .words td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 4rem; }
.own th { white-space: normal; max-width: 9rem; }
.own td:first-child { min-width: 0; }
td.word, th.word { text-align: left; }
.hash { font: 12px ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
tr.floor td { color: var(--soft); }
tr.ruled td { border-top: 2px solid var(--ink); }
td.best { font-weight: 700; }
.mark { color: var(--warn); font-weight: 600; white-space: nowrap; }
.sd { color: var(--soft); font-weight: 400; font-size: .88em; }
td.heat { background: rgb(59 130 196 / calc(var(--share) * .62)); text-align: center; }
dl { display: grid; grid-template-columns: 9.5rem 1fr; gap: .3rem 1rem; margin: .6rem 0; }
dt { color: var(--soft); }
dd { margin: 0; max-width: 46rem; overflow-wrap: anywhere; }
ul { margin: .3rem 0; padding-left: 1.2rem; max-width: 48rem; }
ul.warnings { list-style: none; padding: .5rem .9rem; background: var(--warn-ground);
  border-left: 3px solid var(--warn); }
nav { margin: .8rem 0; }
nav a { margin-right: 1rem; }
figure { margin: .9rem 0 1.8rem; break-inside: avoid; }
figure svg { display: block; width: 100%; height: auto; fill: currentColor;
  stroke-linejoin: round; stroke-linecap: butt; }
figcaption { font-size: 13.5px; max-width: 48rem; margin-top: .3rem; }
figcaption b { color: var(--ink); }
details { margin: .5rem 0; }
summary { cursor: pointer; color: var(--link); }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; } }
@media print { :root { --ground: #fff; --ink: #000; --soft: #444; --line: #bbb; --panel: #fff;
  --link: #000; --warn: #802800; --warn-ground: #fff; }
  body { max-width: none; padding: 0; font-size: 10pt; } nav { display: none; }
  .wide { overflow: visible; } table { font-size: 8pt; } th, td { padding: .12rem .3rem; }
  h2, h3 { break-after: avoid; } tr { break-inside: avoid; }
  td.heat { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
