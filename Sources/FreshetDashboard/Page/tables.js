// Tables and lists. On narrow screens a row becomes a block with the names of its columns beside the values.

import {el, rebuild, say, signed} from './dom.js';
import {NONE, bytes, clock, count, exact, ms, plural, rate, score, seconds} from './format.js';

/**
 * Columns: [name, row → text or element, 'number' for figures, 'id' or 'all' for a line of its own on narrow screens]. Roles are said
 * aloud, as blocks would lose them. A `narrow` table fits everywhere and stays as it is.
 */
export function table(caption, columns, rows, size) {
  return el('table', {role: 'table', class: size},
    el('caption', {class: 'unseen'}, caption),
    el('thead', {role: 'rowgroup'}, el('tr', {role: 'row'}, ...columns.map(([name, , kind]) => el('th', {role: 'columnheader', scope: 'col', class: kind}, name)))),
    el('tbody', {role: 'rowgroup'}, ...rows.map((row) => el('tr', {role: 'row'}, ...columns.map(([name, value, kind]) =>
      el('td', {role: 'cell', class: kind, 'data-name': name}, el('span', {}, value(row))))))));
}

function showTable(node, caption, columns, rows, empty) {
  const texts = rows.map((row) => columns.map(([, value]) => {
    const shown = value(row);
    return typeof shown === 'string' ? shown : shown.textContent;
  }));
  rebuild(node, texts, () => [rows.length ? table(caption, columns, rows) : el('p', {class: 'empty'}, empty)]);
}

const health = (process) => signed(process.health, process.reason ? `${process.health}: ${process.reason}` : process.health);

export function showReplicas(node, state) {
  showTable(node, 'Serving replicas', [
    ['Replica', (p) => p.id], ['Address', (p) => p.address], ['Health', health, 'all'],
    ['Model version', (p) => exact(p.figures.model_version), 'number'],
    ['Copy’s age', (p) => ms(p.figures.age_ms), 'number'],
    ['Behind', (p) => (p.figures.lag_examples === undefined || p.figures.lag_examples === null ? NONE : plural(p.figures.lag_examples, 'example')), 'number'],
    ['Freshness p50', (p) => ms(p.figures.recent_p50_ms), 'number'], ['Freshness p99', (p) => ms(p.figures.recent_p99_ms), 'number'],
    ['Items', (p) => exact(p.figures.items), 'number'],
    ['Requests', (p) => rate(p.figures.requests_per_second), 'number'],
    ['Latency p99', (p) => ms(p.figures.recent_latency_p99_us ? p.figures.recent_latency_p99_us / 1000 : null), 'number'],
  ], state.processes.filter((p) => p.role === 'serve'), 'No replica is configured: dashboard.replicas names them.');
}

export function showTables(node, state) {
  showTable(node, 'Tables of the parameter servers', [
    ['Server', (t) => t.server], ['Table', (t) => t.table],
    ['Rows', (t) => exact(t.rows), 'number'], ['Memory', (t) => bytes(t.bytes), 'number'],
    ['New rows', (t) => rate(t.inserts_per_second), 'number'], ['Expired', (t) => exact(t.expired), 'number'],
    ['Evicted', (t) => exact(t.evicted), 'number'], ['Not admitted', (t) => exact(t.rejected), 'number'],
    ['Bad gradients', (t) => exact(t.nonfinite_gradients), 'number'],
  ], state.tables, 'No parameter server answers yet.');
}

export function showProcesses(node, state) {
  showTable(node, 'Processes', [
    ['Process', (p) => p.id], ['Address', (p) => p.address], ['Health', health, 'all'],
    ['Up for', (p) => (p.uptime_s === null ? NONE : seconds(p.uptime_s)), 'number'], ['Memory', (p) => bytes(p.resident_bytes), 'number'],
    ['Last answer', (p) => (p.age_ms === null ? 'never' : p.age_ms < 2 * state.interval_ms + 500 ? 'now' : `${seconds(p.age_ms / 1000)} ago`), 'number'],
  ], state.processes, 'No process is configured.');
}

export function showLetters(list, note, state) {
  const {recent, end} = state.dead_letters;
  say(note, recent.length ? `the last ${exact(recent.length)}${recent.length >= 50 ? ` of about ${count(end)}` : ''}` : '');
  rebuild(list, recent, () => (recent.length ? recent.map((letter) => el('li', {},
    el('p', {}, el('b', {}, letter.code), ' ', el('span', {class: 'note'}, `${letter.origin}${letter.role ? `, by the ${letter.role}` : ''}, ${clock(letter.time_ms)}`)),
    el('p', {}, letter.reason),
    letter.payload ? el('pre', {dir: 'ltr'}, letter.payload + (letter.cut ? '…' : '')) : null,
  )) : [el('li', {class: 'empty'}, state.kafka.age_ms === null ? 'The topic has not been read yet.' : 'None: every record could be used.')]));
}

/** The figures at the top: what, the figure, and what else there is to say. */
export function showNow(node, state) {
  const figures = [];
  for (const name of state.model.tasks) {
    const task = state.tasks.find((each) => each.name === name);
    const title = state.model.tasks.length > 1 ? `AUC, ${name}` : 'AUC';
    figures.push([title, score(task?.auc_recent), task ? `in total ${score(task.auc)}` : 'waiting for examples']);
  }
  const flow = (from, to) => state.flows.find((each) => each.from === from && each.to === to);
  const learned = flow('examples', 'trainer'), actions = flow('actions', 'joiner');
  const {p50_ms: p50, p99_ms: p99} = state.freshness;
  const up = state.processes.filter((p) => p.health === 'up').length;
  const requests = state.processes.filter((p) => p.role === 'serve').map((p) => p.figures.requests_per_second).filter(Number.isFinite);
  figures.push(
    ['Freshness', ms(p50), p50 === null ? 'nothing learned just now' : `p99 ${ms(p99)}`],
    ['Learned', rate(learned?.per_second), state.tasks.length ? `${count(state.tasks[0].examples)} examples so far` : 'no trainer’s figures yet'],
    ['Waiting', count(learned?.waiting), actions?.waiting === null ? 'examples' : `examples; ${plural(actions?.waiting, 'action')} to join`],
    ['Requests', requests.length ? rate(requests.reduce((a, b) => a + b)) : NONE, 'for scores, all replicas'],
    ['Processes', `${up} of ${state.processes.length}`, up === state.processes.length ? 'all up' : 'up; see below'],
  );
  if (node.childElementCount !== figures.length) {
    node.replaceChildren(...figures.map(() => el('div', {class: 'card'}, el('dt'), el('dd', {class: 'figure'}), el('dd', {class: 'note'}))));
  }
  figures.forEach((texts, index) => texts.forEach((text, part) => say(node.children[index].children[part], text)));
}
