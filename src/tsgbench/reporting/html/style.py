"""The look of the pages: a printed paper's tables (rules, no boxes), on screens of any width."""

STYLE = """
:root {
  --paper: #fdfdfb; --ink: #1c1e21; --soft: #5b6168; --rule: #c9ccd0; --wash: #f1f2f0;
  --link: #1a4f8a; --within: #1d6b4f; --above: #0b5f94; --below: #a3400c; --demo: #fff3cf;
  --demo-ink: #5a4300; --demo-rule: #d9a400;
  --serif: Charter, "Bitstream Charter", "Sitka Text", Cambria, Georgia, serif;
  --sans: system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #16181b; --ink: #e4e5e3; --soft: #9ba1a8; --rule: #41464c; --wash: #202327;
    --link: #8dbdf0; --within: #74c9a5; --above: #74b9e6; --below: #f09a68; --demo: #33290c;
    --demo-ink: #f3dc9a; --demo-rule: #a37c0c;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 78rem;
  background: var(--paper); color: var(--ink);
  font: 1.05rem/1.55 var(--serif); overflow-wrap: break-word;
}
h1, h2, h3, h4 { line-height: 1.2; font-weight: 700; margin: 2.4rem 0 .7rem; text-wrap: balance; }
h1 { font-size: 2.1rem; margin: .1rem 0 1rem; }
h2 { font-size: 1.4rem; }
h3 { font-size: 1.15rem; }
h4 { font: 600 .92rem/1.3 var(--sans); margin: 1.4rem 0 .4rem; }
p, ul, ol { max-width: 46rem; margin: .6rem 0; }
li { margin: .2rem 0; }
a { color: var(--link); text-decoration-thickness: 1px; text-underline-offset: .18em; }
a:focus-visible, button:focus-visible, summary:focus-visible {
  outline: 2px solid var(--link); outline-offset: 2px;
}
code, pre { font-family: var(--mono); font-size: .85em; }
.over, footer, .notes, .hint, nav { font: .88rem/1.5 var(--sans); color: var(--soft); }
.over { margin: 0; }
.about { font-size: 1.15rem; font-style: italic; margin-top: -.5rem; }
.caption { font-size: 1rem; }
.demo {
  font-weight: 600;
  max-width: none; margin: 1rem 0; padding: .6rem .9rem; font: .95rem/1.45 var(--sans);
  background: var(--demo); color: var(--demo-ink); border-left: 4px solid var(--demo-rule);
}
.scroll { overflow-x: auto; margin: .8rem 0 1.2rem; }
table {
  border-collapse: collapse; font: .9rem/1.4 var(--sans); font-variant-numeric: tabular-nums;
  border-top: 2px solid var(--ink); border-bottom: 2px solid var(--ink);
}
table.full { min-width: min(100%, 46rem); }
th, td { padding: .42rem .45rem; text-align: right; vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th {
  white-space: normal; border-bottom: 1px solid var(--ink); vertical-align: bottom;
  font-weight: 600;
}
tbody th {
  font-weight: 600; white-space: normal; min-width: 8rem; max-width: 17rem;
  position: sticky; left: 0; background: var(--paper); z-index: 1;
}
tbody tr + tr > * { border-top: 1px solid var(--rule); }
tr.group th { font-style: italic; font-weight: 400; color: var(--soft); padding-top: .9rem; }
table.sorted tr.group { display: none; }
tr.quoted, tr.quoted th { color: var(--soft); }
tr.quoted th { font-weight: 400; }
tr:target > *, section:target > h3 { background: var(--wash); }
thead button {
  all: unset; cursor: pointer; font: inherit; padding: .1rem 0; text-align: inherit;
}
thead button::after { content: "\\2195"; color: var(--soft); margin-left: .3em; font-weight: 400; }
th[aria-sort=descending] button::after { content: "\\2193"; color: var(--ink); }
th[aria-sort=ascending] button::after { content: "\\2191"; color: var(--ink); }
.mean { text-decoration: none; }
.mean:hover { text-decoration: underline; }
.best { font-weight: 700; }
.second { text-decoration: underline; text-decoration-thickness: 1px; }
.std { color: var(--soft); font-size: .86em; }
.below-number {
  display: block; font-size: .78rem; font-weight: 400; line-height: 1.45; color: var(--soft);
}
.verdict { font-weight: 600; }
.v-within { color: var(--within); }
.v-above { color: var(--above); }
.v-below { color: var(--below); }
.missing { color: var(--soft); font-style: italic; }
.system { border-top: 1px solid var(--rule); padding-top: .2rem; margin-top: 2.2rem; }
.system h3 { margin-bottom: .2rem; padding: .2rem 0; }
.runs td { text-align: left; white-space: normal; min-width: 11rem; overflow-wrap: anywhere; }
.runs th, .plain th { min-width: 7.5rem; font-weight: 400; color: var(--soft); }
.plain td, .plain th { text-align: left; }
.runs th, .runs td, .plain th, .plain td { padding-top: .22rem; padding-bottom: .22rem; }
.words td { white-space: normal; }
.words tbody th { font-weight: 400; min-width: 12rem; }
summary { cursor: pointer; font: .9rem var(--sans); color: var(--link); }
pre {
  overflow-x: auto; background: var(--wash); padding: .8rem 1rem; margin: .5rem 0;
  line-height: 1.45;
}
footer { border-top: 1px solid var(--rule); margin-top: 3rem; padding-top: .8rem; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
@media screen and (min-width: 64rem) {
  nav > ol { columns: 2; column-gap: 3rem; max-width: none; }
  nav > ol > li { break-inside: avoid; }
}
nav ol { padding-left: 1.3rem; } nav ul { padding-left: 1.1rem; margin: .15rem 0; }
figure { margin: 1rem 0; }
figure img { display: block; background: #fff; }
.thumb { display: inline-block; border: 1px solid var(--rule); cursor: zoom-in; }
.thumb img { max-width: min(34rem, 100%); max-height: 26rem; }
.zoom:target {
  position: fixed; inset: 0; z-index: 9; overflow: auto; background: #fff; padding: 1rem;
}
.zoom > .close { display: none; }
.zoom:target > .close {
  display: block; position: sticky; left: 0; top: 0; width: max-content; color: #1a4f8a;
  font: 1rem var(--sans); background: #fff; padding: .3rem .6rem;
}
.zoom:target > .thumb { border: 0; cursor: default; }
.zoom:target img { max-width: none; max-height: none; width: max(100%, 60rem); }
@media (max-width: 40rem) {
  body { padding: 1.2rem 1rem 3rem; font-size: 1rem; }
  h1 { font-size: 1.6rem; }
  tbody th { min-width: 6.2rem; max-width: 8rem; }
  th, td { padding: .4rem .5rem; }
}
@media print {
  html { font-size: 11px; }
  body { padding: 0; max-width: none; background: none; }
  .scroll { overflow: visible; }
  th, td { padding: .2rem .35rem; }
  tbody th { position: static; min-width: 0; }
  thead button::after { content: ""; }
  a { color: inherit; }
  .hint, .close { display: none; }
  tr, figure, pre { break-inside: avoid; }
  h2, h3, h4 { break-after: avoid; }
}
"""
