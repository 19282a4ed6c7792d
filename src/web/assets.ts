/** What pages load beside themselves; no build step, no other origin. */

const CUBE = [0, 95, 135, 175, 215, 255];
const SYSTEM_LIGHT =
  '#24292f #cf222e #116329 #7d4e00 #0969da #8250df #1b7c83 #6e7781 #57606a #a40e26 #1a7f37 #633c01 #218bff #a475f9 #3192aa #8c959f'.split(
    ' ',
  );
const SYSTEM_DARK =
  '#6e7681 #ff7b72 #3fb950 #d29922 #58a6ff #bc8cff #39c5cf #b1bac4 #8b949e #ffa198 #56d364 #e3b341 #79c0ff #d2a8ff #56d4dd #f0f6fc'.split(
    ' ',
  );

function paletteRules(): string {
  const rules: string[] = [];
  const rule = (number: number, color: string): void => {
    rules.push(`.f${number}{color:${color}}.g${number}{background:${color}}`);
  };
  for (let number = 16; number < 232; number += 1) {
    const cube = number - 16;
    const part = (divisor: number): number => CUBE[Math.floor(cube / divisor) % 6] ?? 0;
    rule(number, `rgb(${part(36)},${part(6)},${part(1)})`);
  }
  for (let number = 232; number < 256; number += 1) {
    const grey = 8 + (number - 232) * 10;
    rule(number, `rgb(${grey},${grey},${grey})`);
  }
  const system = (colors: readonly string[]): string =>
    colors.map((color, number) => `.f${number}{color:${color}}.g${number}{background:${color}}`).join('');
  return `${rules.join('')}${system(SYSTEM_LIGHT)}@media(prefers-color-scheme:dark){${system(SYSTEM_DARK)}}`;
}

/** The one style sheet. */
export const STYLE = `:root{--bg:#fff;--panel:#f6f8fa;--text:#1f2328;--dim:#59636e;--line:#d1d9e0;--link:#0969da;--ok:#1a7f37;--bad:#d1242f;--mark:#fff8c5;--tint:#ffebe9}
@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--panel:#151b23;--text:#f0f6fc;--dim:#9198a1;--line:#3d444d;--link:#4493f8;--ok:#3fb950;--bad:#f85149;--mark:#3b2e00;--tint:#3c1618}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--text);font:14px/1.5 -apple-system,BlinkMacSystemFont,"Segoe UI","Noto Sans",Helvetica,Arial,sans-serif}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
.top{display:flex;gap:16px;align-items:center;padding:10px 20px;background:var(--panel);border-bottom:1px solid var(--line)}
.top nav{flex:1;min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.top .home{font-weight:600;color:var(--text)}.sep{color:var(--dim);margin:0 6px}
.top form{display:flex;gap:6px;flex:0 1 440px}input{flex:1;min-width:0;padding:4px 10px;border:1px solid var(--line);border-radius:6px;background:var(--bg);color:var(--text);font:inherit}
button{padding:4px 12px;border:1px solid var(--line);border-radius:6px;background:var(--panel);color:var(--text);font:inherit;cursor:pointer}
main{padding:20px;max-width:1600px;margin:0 auto}h1{font-size:20px;margin:0 0 4px;font-weight:600;overflow-wrap:anywhere}h2{font-size:15px;margin:24px 0 8px}
.facts{color:var(--dim);margin:0 0 12px;overflow-wrap:anywhere}.facts b{font-weight:600}.ok{color:var(--ok)}.bad{color:var(--bad)}.dim{color:var(--dim)}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}th{font-weight:600;color:var(--dim)}td.num,th.num{text-align:right;white-space:nowrap}
.seal{border:1px solid var(--line);border-left:4px solid var(--dim);border-radius:6px;padding:6px 12px;margin:0 0 16px;background:var(--panel)}.seal.good{border-left-color:var(--ok)}.seal.wrong{border-left-color:var(--bad)}
.log{display:grid;grid-template-columns:280px minmax(0,1fr);gap:20px;align-items:start}.steps{position:sticky;top:12px;max-height:calc(100vh - 24px);overflow:auto}.steps ol{list-style:none;margin:0;padding:0}.steps li{display:flex;gap:8px;padding:3px 8px;border-radius:6px}.steps li:hover{background:var(--panel)}.steps a{flex:1;color:inherit;overflow-wrap:anywhere}.steps .took{color:var(--dim);white-space:nowrap}
.tools{display:flex;flex-wrap:wrap;gap:12px;align-items:center;padding:8px 0;position:sticky;top:0;background:var(--bg);z-index:2}.tools form{display:flex;gap:6px}
.lines{font:12px/20px ui-monospace,SFMono-Regular,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace;border:1px solid var(--line);border-radius:6px;overflow:hidden;background:var(--bg)}
.lines summary{padding:6px 12px;background:var(--panel);cursor:pointer;overflow-wrap:anywhere;font-weight:600}.step>summary{position:sticky;top:44px;border-bottom:1px solid var(--line);z-index:1}.step>summary .took{float:right;color:var(--dim);font-weight:400}.step.ok,.step.bad,.step.dim{color:inherit}.step.bad>summary{color:var(--bad)}
.group>summary{background:none;font-weight:400;padding:0 12px 0 68px;position:relative}.group>summary::before{content:attr(data-n);position:absolute;left:0;width:56px;text-align:right;color:var(--dim)}
.block{content-visibility:auto;contain-intrinsic-size:auto 5000px}.block>div{position:relative;padding:0 12px 0 68px;min-height:20px;white-space:pre-wrap;overflow-wrap:anywhere}.block>div::before{content:attr(data-n);position:absolute;left:0;width:56px;text-align:right;color:var(--dim);user-select:none}
.wide .block>div,.wide .group>summary{padding-left:110px}.wide .block>div::before,.wide .group>summary::before{width:98px}
.block>div:target,.block>div.sel,summary:target{background:var(--mark)}.error{background:var(--tint);box-shadow:inset 3px 0 var(--bad)}.warning{box-shadow:inset 3px 0 #bf8700}.command{color:var(--link)}.debug{color:var(--dim)}
.stamps .block>div[data-t]::after{content:attr(data-t);position:absolute;right:8px;top:0;color:var(--dim);background:var(--bg);padding-left:8px}
.b{font-weight:600}.d{opacity:.7}.i{font-style:italic}.u{text-decoration:underline}small{color:var(--dim)}
.note{max-width:720px}.bars{display:flex;align-items:flex-end;gap:2px}.hits li{overflow-wrap:anywhere}code{font:12px ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
:focus-visible{outline:2px solid var(--link);outline-offset:1px}
@media(max-width:800px){.top{flex-wrap:wrap}.log{grid-template-columns:minmax(0,1fr)}.steps{position:static;max-height:none}.top form{flex:1 1 100%}main{padding:12px}}
${paletteRules()}`;

/** The one script: GitHub's fragments, keys, selected lines, stamps. Everything works without it. */
export const SCRIPT = `'use strict';
(() => {
  const lines = document.querySelector('.lines');
  const url = new URL(location.href);
  const byNumber = (n) => document.getElementById('L' + n);
  function reveal(element) {
    for (let up = element; up; up = up.parentElement) if (up.tagName === 'DETAILS') up.open = true;
    element.scrollIntoView({ block: 'center' });
  }
  // GitHub's own fragment never reaches a server: #step:5:120 is a line of a step.
  const step = /^#step:(\\d+)(?::(\\d+))?$/.exec(location.hash);
  if (step && lines) {
    const section = document.getElementById('step-' + step[1]);
    if (!section) {
      url.hash = '';
      if (url.searchParams.get('step') !== step[1]) {
        url.searchParams.set('step', step[1]);
        location.replace(url);
      }
    } else {
      section.open = true;
      const rows = section.querySelectorAll('[data-n]');
      const row = rows[Math.min(rows.length, Number(step[2] || 1)) - 1] || section;
      row.classList.add('sel');
      reveal(row);
    }
  }
  if (!lines) return;
  const range = /^(\\d+)(?:-(\\d+))?$/.exec(url.searchParams.get('line') || '');
  let anchor = range ? Number(range[1]) : null;
  function select(from, to) {
    for (const row of lines.querySelectorAll('.sel')) row.classList.remove('sel');
    for (let n = from; n <= to; n += 1) byNumber(n)?.classList.add('sel');
  }
  if (range) {
    select(Number(range[1]), Number(range[2] || range[1]));
    const first = byNumber(range[1]);
    if (first) reveal(first);
  } else if (location.hash.startsWith('#L')) {
    const target = document.querySelector(location.hash.replace(/[^#L0-9]/g, ''));
    if (target) reveal(target);
  } else {
    const error = lines.querySelector('details[open] .error');
    if (error) reveal(error);
  }
  lines.addEventListener('click', (event) => {
    const row = event.target.closest('[data-n]');
    if (!row || event.target.closest('summary') || String(getSelection())) return;
    if (event.clientX - row.getBoundingClientRect().left > 110) return;
    const n = Number(row.dataset.n);
    const from = event.shiftKey && anchor ? Math.min(anchor, n) : n;
    const to = event.shiftKey && anchor ? Math.max(anchor, n) : n;
    if (!event.shiftKey) anchor = n;
    select(from, to);
    url.hash = '';
    url.searchParams.set('line', from === to ? String(from) : from + '-' + to);
    history.replaceState(null, '', url);
  });
  const errors = () => [...lines.querySelectorAll('.error')];
  let at = -1;
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|TEXTAREA/.test(event.target.tagName)) return;
    const all = errors();
    if (event.key === '/') {
      const box = document.querySelector('.tools input');
      if (box) { event.preventDefault(); box.focus(); }
    } else if ((event.key === 'n' || event.key === 'p') && all.length > 0) {
      at = (at + (event.key === 'n' ? 1 : -1) + all.length) % all.length;
      reveal(all[at]);
    } else if (event.key === 't') cycle();
  });
  const STAMPS = ['none', 'local', 'utc', 'relative'];
  let stamps = 0;
  const original = new Map();
  function cycle() {
    stamps = (stamps + 1) % STAMPS.length;
    const kind = STAMPS[stamps];
    lines.classList.toggle('stamps', kind !== 'none');
    let start = null;
    for (const row of lines.querySelectorAll('[data-t]')) {
      if (!original.has(row)) original.set(row, row.dataset.t);
      const text = original.get(row);
      const ms = Date.parse(text.slice(0, 23) + 'Z');
      start ??= ms;
      row.dataset.t = kind === 'local' ? new Date(ms).toLocaleTimeString() : kind === 'relative' ? '+' + ((ms - start) / 1000).toFixed(1) + 's' : text;
    }
  }
  const button = document.getElementById('stamps');
  if (button) { button.hidden = false; button.addEventListener('click', cycle); }
})();
`;

/** The icon: a log with a seal. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect x="4" y="3" width="20" height="26" rx="3" fill="#0969da"/><path d="M8 9h12M8 14h12M8 19h7" stroke="#fff" stroke-width="2"/><circle cx="23" cy="23" r="7" fill="#1a7f37"/><path d="m20 23 2 2 4-4" fill="none" stroke="#fff" stroke-width="2"/></svg>`;
