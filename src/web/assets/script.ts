/** The one script: GitHub's fragments, keys, selected lines, stamps. Everything can be read without it. */
export const SCRIPT = `'use strict';
(() => {
  const lines = document.querySelector('.lines');
  if (!lines) return;
  const url = new URL(location.href);
  const row = (n) => document.getElementById('L' + n);
  function reveal(element) {
    for (let up = element.parentElement; up; up = up.parentElement) if (up.tagName === 'DETAILS') up.open = true;
    const box = element.getBoundingClientRect();
    if (box.top >= 90 && box.bottom <= innerHeight - 20) return;
    element.scrollIntoView({ block: 'center' });
    // What came into view may be higher than was guessed.
    requestAnimationFrame(() => element.scrollIntoView({ block: 'center' }));
  }
  function select(from, to) {
    for (const one of lines.querySelectorAll('.sel')) one.classList.remove('sel');
    for (const one of lines.querySelectorAll('[data-n]')) {
      const n = Number(one.dataset.n);
      if (n >= from && n <= to) one.classList.add('sel');
    }
  }
  function show(from, to) {
    select(from, to);
    // A line that is not shown itself, such as the end of a group, is shown by the one before it.
    for (let n = from; n > 0 && n > from - 3; n -= 1) if (row(n)) return reveal(row(n));
  }
  const range = /^(\\d+)(?:-(\\d+))?$/.exec(url.searchParams.get('line') || '');
  const step = /^#step:(\\d+)(?::(\\d+))?$/.exec(location.hash);
  let anchor = null;
  if (step) {
    // GitHub's own fragment never reaches a server: it is a line of a step.
    const first = Number(document.querySelector('.steps [data-step="' + step[1] + '"]')?.dataset.first);
    const n = first + Math.max(1, Number(step[2] || 1)) - 1;
    if (first && (row(n) || row(n - 1))) {
      anchor = n;
      show(n, n);
    } else if (first && url.searchParams.get('line') !== String(n)) {
      url.hash = '';
      url.searchParams.delete('step');
      url.searchParams.set('line', String(n));
      location.replace(url);
      return;
    }
  } else if (range) {
    anchor = Number(range[1]);
    show(anchor, Number(range[2] || range[1]));
  } else if (/^#L\\d+$/.test(location.hash)) {
    const target = row(location.hash.slice(2));
    if (target) reveal(target);
  } else if (!location.hash) {
    const all = lines.querySelectorAll('details[open] .error');
    if (all.length > 0) reveal(all[all.length - 1]);
  }
  lines.addEventListener('click', (event) => {
    const one = event.target.closest('[data-n]');
    if (!one || event.target.closest('summary, a')) return;
    const edge = parseFloat(getComputedStyle(one, '::before').width);
    if (event.clientX - one.getBoundingClientRect().left > edge + 12) return;
    const n = Number(one.dataset.n);
    const isRange = event.shiftKey && anchor;
    const [from, to] = isRange ? [Math.min(anchor, n), Math.max(anchor, n)] : [n, n];
    if (isRange) getSelection().removeAllRanges();
    else anchor = n;
    select(from, to);
    url.hash = '';
    url.searchParams.delete('step');
    url.searchParams.set('line', from === to ? String(from) : from + '-' + to);
    history.replaceState(null, '', url);
  });
  let at = -1;
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|TEXTAREA/.test(event.target.tagName)) return;
    if (event.key === '/') {
      const box = document.querySelector('.tools input');
      if (box) { event.preventDefault(); box.focus(); }
    } else if (event.key === 'n' || event.key === 'p') {
      const all = [...lines.querySelectorAll('.error')];
      if (all.length === 0) return;
      at = at < 0 && event.key === 'p' ? all.length - 1 : (at + (event.key === 'n' ? 1 : -1) + all.length) % all.length;
      const n = Number(all[at].dataset.n);
      show(n, n);
    } else if (event.key === 't') cycle();
  });
  const KINDS = ['none', 'local', 'UTC', 'relative'];
  const button = document.getElementById('stamps');
  const started = Date.parse(lines.dataset.start || '');
  let kind = 0;
  const original = new Map();
  const two = (value, digits) => String(value).padStart(digits, '0');
  function textOf(ms, base) {
    if (KINDS[kind] === 'relative') return (ms < base ? '' : '+') + ((ms - base) / 1000).toFixed(3) + ' s';
    const date = new Date(ms);
    return KINDS[kind] === 'UTC'
      ? date.toISOString().slice(11, 23) + 'Z'
      : two(date.getHours(), 2) + ':' + two(date.getMinutes(), 2) + ':' + two(date.getSeconds(), 2) + '.' + two(date.getMilliseconds(), 3);
  }
  function cycle() {
    kind = (kind + 1) % KINDS.length;
    lines.classList.toggle('stamps', kind > 0);
    button.textContent = 'Times: ' + KINDS[kind];
    if (kind === 0) return;
    let base = started;
    for (const one of lines.querySelectorAll('[data-t]')) {
      if (!original.has(one)) original.set(one, Date.parse(one.dataset.t.slice(0, 23) + 'Z'));
      const ms = original.get(one);
      if (Number.isNaN(base)) base = ms;
      one.dataset.t = textOf(ms, base);
    }
  }
  if (button) { button.hidden = false; button.addEventListener('click', cycle); }
})();
`;
