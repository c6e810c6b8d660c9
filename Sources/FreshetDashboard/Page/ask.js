// The box that asks a replica.

import {$, el} from './dom.js';
import {ms, plural, score} from './format.js';
import {table} from './tables.js';

let model = null;

export function prepareAsk(state) {
  if (model) return;
  model = state.model;
  $('ask-user-name').textContent = `User (${model.user_key})`;
  const {task} = $('ask').elements;
  task.replaceChildren(...model.tasks.map((name) => el('option', {value: name}, name)));
  task.closest('label').hidden = model.tasks.length < 2;
}

function result(answer, user, isScore) {
  const {items, replica, milliseconds} = answer;
  const what = isScore ? `${plural(items.length, 'score')} for` : `The best ${items.length} for`;
  if (!items.length) return [el('p', {class: 'empty'}, 'No items: the catalog is empty. Records of the items topic fill it.')];
  return [
    el('p', {class: 'note'}, `${what} ${model.user_key} ${user}, by the replica ${replica} in ${ms(milliseconds)}`),
    table(isScore ? 'Scores' : 'Recommendations', [
      ['Rank', (item) => String(items.indexOf(item) + 1), 'number'],
      ['Title', (item) => item.title ?? el('span', {class: 'note'}, 'no title')],
      ['Id', (item) => item.id, 'id'], ['Score', (item) => score(item.score), 'number'],
    ], items, 'narrow'),
  ];
}

function trouble(text) { return [el('p', {class: 'trouble'}, text)]; }

async function ask(form) {
  const {user, topk, items, task} = form.elements;
  const ids = items.value.split(/[\s,]+/).filter(Boolean);
  const query = new URLSearchParams({[model.user_key]: user.value.trim()});
  if (ids.length) for (const id of ids) query.append(model.item_key, id); else query.append('topk', topk.value);
  const path = `api/${ids.length ? 'score' : 'recommend'}/${encodeURIComponent(task.value || model.tasks[0])}`;
  try {
    const reply = await fetch(`${path}?${query}`, {cache: 'no-store', signal: AbortSignal.timeout(15_000)});
    const answer = await reply.json();
    if (!reply.ok) return trouble(`${answer.error ?? `The dashboard answered with status ${reply.status}`}`);
    return result(answer, user.value.trim(), ids.length > 0);
  } catch (error) {
    return trouble(error.name === 'TimeoutError' ? 'No answer within 15 s. Is a replica up?' : 'The dashboard does not answer. It may have been stopped; this page goes on asking it.');
  }
}

export function listenForQuestions() {
  $('ask').addEventListener('submit', async (event) => {
    event.preventDefault();
    if (!model) return $('answer').replaceChildren(...trouble('The dashboard has not said yet which model it watches.'));
    const button = event.target.querySelector('button');
    button.setAttribute('aria-disabled', 'true');
    try {
      $('answer').replaceChildren(...await ask(event.target));
    } finally {
      button.removeAttribute('aria-disabled');
    }
  });
}
