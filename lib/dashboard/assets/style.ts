/** The style of all pages. */
export const STYLE = `:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #fff; --text: #1c2330; --soft: #566074; --line: #d8dde6; --link: #1d56c4;
  --good: #12633a; --bad: #a82820; --warn: #7d4a00; --busy: #1a4db0; --off: #4d5565;
  --good-back: #e0f4e9; --bad-back: #fde7e5; --warn-back: #fdf0d8; --busy-back: #e3ecfd; --off-back: #e9ecf1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12151c; --card: #1a1f29; --text: #e4e8f0; --soft: #a3adbf; --line: #313948; --link: #8fb4ff;
    --good: #6fd6a1; --bad: #ff958d; --warn: #f2bd62; --busy: #8fb4ff; --off: #a9b2c2;
    --good-back: #16352a; --bad-back: #42201f; --warn-back: #3b2d13; --busy-back: #1c2d50; --off-back: #2a303c;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 8px; top: 8px; background: var(--card); padding: 8px; z-index: 1; }
header.top { background: var(--card); border-bottom: 1px solid var(--line); padding: 10px 20px; display: flex; flex-wrap: wrap; gap: 6px 20px; align-items: center; }
header.top .brand { font-weight: 650; color: var(--text); text-decoration: none; }
header.top nav { display: flex; gap: 4px; flex: 1; }
header.top nav a { padding: 4px 10px; border-radius: 6px; text-decoration: none; }
header.top nav a[aria-current] { background: var(--busy-back); font-weight: 600; }
.environment { border: 1px solid currentColor; border-radius: 6px; padding: 1px 8px; font-weight: 600; color: var(--warn); overflow-wrap: anywhere; min-width: 0; }
main { max-width: 1480px; margin: 0 auto; padding: 16px 20px 48px; }
h1 { font-size: 22px; margin: 8px 0; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 28px 0 8px; }
.name, code, pre { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 13.5px; unicode-bidi: isolate; overflow-wrap: anywhere; }
h1 .name { font-size: 20px; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px; overflow: auto; white-space: pre-wrap; margin: 0; }
.soft { color: var(--soft); font-size: 13px; }
.numbers { display: flex; flex-wrap: wrap; gap: 8px; padding: 0; margin: 8px 0 14px; list-style: none; }
.numbers a { text-decoration: none; }
.badge { display: inline-block; padding: 0 8px; border-radius: 10px; font-size: 13px; font-weight: 600; white-space: nowrap; color: var(--off); background: var(--off-back); }
.badge.fresh, .badge.refreshed { color: var(--good); background: var(--good-back); }
.badge.stale, .badge.unscheduled, .badge.blocked, .badge.timeout { color: var(--warn); background: var(--warn-back); }
.badge.failing, .badge.failed, .badge.missing, .badge.not-populated { color: var(--bad); background: var(--bad-back); }
.badge.refreshing { color: var(--busy); background: var(--busy-back); }
.notice, .problem { border-left: 4px solid var(--busy); background: var(--busy-back); padding: 8px 12px; border-radius: 0 8px 8px 0; margin: 10px 0; overflow-wrap: anywhere; }
.problem { border-color: var(--bad); background: var(--bad-back); }
form.filter { display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: end; margin: 12px 0; }
form.filter label, .poll { display: grid; gap: 2px; font-size: 13px; color: var(--soft); }
form.filter label { max-width: 100%; }
form.filter label > * { min-width: 0; }
.poll { display: flex; align-items: center; gap: 6px; }
.poll[hidden] { display: none; }
input, select, button, .button { font: inherit; color: var(--text); background: var(--card); border: 1px solid var(--soft); border-radius: 6px; padding: 4px 10px; min-height: 32px; max-width: 100%; }
button, .button { cursor: pointer; text-decoration: none; display: inline-block; }
button.main { background: #1d56c4; border-color: #1d56c4; color: #fff; font-weight: 600; }
.actions { display: flex; flex-wrap: wrap; gap: 6px; }
td .button { padding: 0 8px; min-height: 28px; font-size: 13.5px; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 8px 9px; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
thead th { font-size: 13px; color: var(--soft); white-space: nowrap; }
tbody th { font-weight: 600; min-width: 13em; }
time, td[data-label=Rows] { white-space: nowrap; }
td.number { text-align: right; white-space: nowrap; }
meter, progress { display: block; width: 110px; height: 10px; }
.bars { display: block; background: var(--off-back); border-radius: 3px; }
.bars .refreshed { fill: var(--good); } .bars .failed { fill: var(--bad); } .bars .timeout { fill: var(--warn); } .bars .cancelled { fill: var(--off); }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; margin: 12px 0; }
dl.facts dt { color: var(--soft); } dl.facts dd { margin: 0; overflow-wrap: anywhere; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 0 24px; }
.columns > * { min-width: 0; }
.graph text { font: 13px ui-monospace, Menlo, Consolas, monospace; fill: var(--text); }
.graph .state { font-size: 11px; fill: var(--soft); }
.graph rect { fill: var(--card); stroke: var(--soft); stroke-width: 1.5; }
.graph path { fill: none; stroke: var(--soft); stroke-width: 1.5; } .graph marker path { fill: var(--soft); stroke: none; }
.graph .fresh rect { stroke: var(--good); fill: var(--good-back); }
.graph .stale rect, .graph .blocked rect { stroke: var(--warn); fill: var(--warn-back); }
.graph .failing rect, .graph .missing rect, .graph .not-populated rect { stroke: var(--bad); fill: var(--bad-back); }
.graph .refreshing rect { stroke: var(--busy); fill: var(--busy-back); }
.graph .table rect, .graph .function rect, .graph .paused rect { stroke: var(--off); fill: var(--off-back); }
.graph a:focus-visible rect { stroke-width: 4; }
@media (max-width: 720px) {
  main { padding: 8px 12px 32px; }
  header.top { padding: 8px 12px; }
  table.cards thead { position: absolute; left: -9999px; }
  table.cards, table.cards tbody, table.cards tr, table.cards th, table.cards td { display: block; }
  table.cards tr { padding: 8px 0; border-bottom: 1px solid var(--line); }
  table.cards tr:last-child { border-bottom: 0; }
  table.cards th, table.cards td { border: 0; padding: 3px 12px; min-width: 0; }
  table.cards td.number { text-align: left; }
  table.cards td[data-label]::before { content: attr(data-label); display: block; color: var(--soft); font-size: 12px; }
  dl.facts { grid-template-columns: 1fr; } dl.facts dd { margin-bottom: 6px; }
}
`;
