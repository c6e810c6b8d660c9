// Asks the dashboard's process once an interval, and shows what it says.

import {listenForQuestions, prepareAsk} from './ask.js';
import {Charts, Past} from './charts.js';
import {$, say} from './dom.js';
import {clock, plural, seconds} from './format.js';
import {drawPipeline, showFlows, showKey} from './pipeline.js';
import {showLetters, showNow, showProcesses, showReplicas, showTables} from './tables.js';

const TIMEOUT_MS = 5_000;
const past = new Past();
const charts = new Charts($('charts'), past);
let state = null, heardAt = null, isAsking = false;

function summary() {
  const bad = state.processes.filter((process) => !['up', 'waiting'].includes(process.health));
  const waiting = state.processes.filter((process) => process.health === 'waiting').length;
  const all = plural(state.processes.length, 'process', 'processes');
  const kafka = state.kafka.error ? ' Kafka does not answer.' : '';
  const mismatch = state.validation_error ? ' The servers’ validation does not fit together.' : '';
  if (!bad.length) return (waiting ? `${waiting} of ${all} not up yet.` : `All ${all} up.`) + kafka + mismatch;
  const names = bad.slice(0, 3).map((process) => `${process.id} ${process.health}`).join(', ');
  return `${bad.length} of ${all} not well: ${names}${bad.length > 3 ? ' …' : ''}.${kafka}${mismatch}`;
}

function show() {
  say($('model'), `${state.model.name}, version ${state.model.version}`);
  say($('summary'), summary());
  const worst = state.processes.map((process) => process.health);
  $('summary').className = state.kafka.error || worst.some((health) => !['up', 'waiting'].includes(health)) ? 'unwell'
    : worst.includes('waiting') ? '' : 'well';
  showNow($('now'), state);
  drawPipeline($('pipeline'), state);
  showFlows($('flows'), state);
  showLetters($('letters'), $('letters-note'), state);
  showReplicas($('replicas'), state);
  showTables($('tables'), state);
  showProcesses($('processes'), state);
  prepareAsk(state);
  charts.prepare(state.model.tasks);
  charts.show();
  for (const range of ['short', 'long']) say($(`range-${range}`), seconds(state.history[`${range}_ms`] / 1000));
  say($('foot'), `Freshet ${state.version}. Figures are asked for every ${seconds(state.interval_ms / 1000)}; rates are means of 5 s. Kafka: ${state.kafka.error ?? (state.kafka.age_ms === null ? 'no answer yet' : 'answers')}.`);
  document.title = $('summary').className === 'unwell' ? 'Freshet: not well' : 'Freshet';
}

/** How old the figures are, whoever is to blame. */
function showAge() {
  if (document.hidden) return;
  const age = heardAt === null ? null : (performance.now() - heardAt) / 1000;
  const late = age !== null && age > Math.max(5, 4 * state.interval_ms / 1000);
  say($('age'), age === null ? '' : age < 2.5 ? 'Figures of now' : `Figures of ${seconds(age)} ago`);
  document.body.classList.toggle('is-lost', late);
  $('lost').hidden = !late;
  $('lost').className = 'lost';
  if (!late) return;
  say($('summary'), `Last known: ${summary()}`);
  $('summary').className = '';
  say($('lost'), `The dashboard’s process does not answer. What you see is of ${clock(state.time_ms)}. The cluster does not need it; this page goes on asking.`);
}

async function ask() {
  // A page that nobody looks at asks nothing.
  if (isAsking || document.hidden) return;
  isAsking = true;
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const reply = await fetch('api/state', {signal, cache: 'no-store'});
    if (!reply.ok) throw new Error(`status ${reply.status}`);
    const next = await reply.json();
    await past.update(signal);
    [state, heardAt] = [next, performance.now()];
    show();
  } catch (error) {
    if (state === null) say($('summary'), 'The dashboard’s process does not answer yet. Asking again…');
    // A mistake of the page's own is no silence of the server.
    if (!(error instanceof TypeError && /fetch|network|load/i.test(error.message)) && !['TimeoutError', 'AbortError'].includes(error.name)) console.error(error);
  } finally {
    isAsking = false;
  }
}

async function run() {
  for (;;) {
    await ask();
    await new Promise((resolve) => setTimeout(resolve, state?.interval_ms ?? 1000));
  }
}

function chooseTheme() {
  const select = $('theme');
  const apply = () => { document.documentElement.dataset.theme = select.value; };
  try {
    select.value = localStorage.getItem('freshet-theme') ?? '';
  } catch { /* Storage may be forbidden; then the choice lasts as long as the page. */ }
  apply();
  select.addEventListener('change', () => {
    apply();
    try {
      localStorage.setItem('freshet-theme', select.value);
    } catch { /* As above. */ }
  });
}

chooseTheme();
showKey($('key'));
listenForQuestions();
for (const radio of document.querySelectorAll('input[name=range]')) {
  radio.addEventListener('change', () => {
    past.range = radio.value;
    past.forget();
    ask();
  });
}
document.addEventListener('visibilitychange', () => { if (!document.hidden) ask().then(showAge); });
new ResizeObserver(() => { if (state) show(); }).observe($('main'));
// On its own: an answer that does not come must not hide how long it has been waited for.
setInterval(showAge, 500);
run();
