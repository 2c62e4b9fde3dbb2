// Fills the selects as Sentry's page does, and sends a form without leaving the page. A button stays alive while its
// form is on the way, so that a double click is one, as it is for whoever talks to Sentry's API.
const valueOf = (form, name) => form.elements['field:' + name]?.value ?? '';
const dependsOn = (select) => select.dataset.depends.split(' ').filter(Boolean);

function offer(select, choices, preselected) {
  const kept = select.value;
  const option = ([value, label]) => new Option(label, value);
  select.replaceChildren(option(['', '']), ...choices.map(option));
  const has = (wanted) => choices.some(([value]) => value === wanted);
  select.value = has(kept) ? kept : has(preselected) ? preselected : '';
  if (select.value !== kept) select.dispatchEvent(new Event('change', { bubbles: true }));
}

async function fill(select, query) {
  const form = select.form;
  const output = select.parentElement.querySelector('output');
  const turn = (select.turn = (select.turn ?? 0) + 1);
  const dependent = Object.fromEntries(
    dependsOn(select).map((name) => [name, valueOf(form, name)]).filter(([, value]) => value),
  );
  output.textContent = '';
  if (Object.keys(dependent).length < dependsOn(select).length) return offer(select, []);
  const asked = new URLSearchParams({ uri: select.dataset.uri });
  if (form.dataset.project) asked.set('project', form.dataset.project);
  if (query) asked.set('query', query);
  if (dependsOn(select).length) asked.set('dependent', JSON.stringify(dependent));
  const answer = await (await fetch('/sentry/options?' + asked)).json();
  // The answer to what was typed before comes too late.
  if (turn !== select.turn) return;
  output.textContent = answer.error ?? '';
  offer(select, answer.choices ?? [], answer.default);
}

async function send(form) {
  const said = document.createElement('li');
  said.textContent = '…';
  form.querySelector('.answers').append(said);
  try {
    const body = new URLSearchParams(new FormData(form));
    const answer = await (await fetch(form.action, { method: 'POST', body })).json();
    said.textContent = answer.said;
    said.className = answer.ok ? 'good' : 'bad';
    const linked = document.getElementById('linked');
    if (answer.linked && linked) {
      const link = document.createElement('a');
      link.textContent = answer.linked.name;
      if (answer.linked.url) link.href = answer.linked.url;
      linked.replaceChildren('Linked: ', link);
    }
  } catch (error) {
    said.textContent = String(error);
    said.className = 'bad';
  }
}

for (const form of document.querySelectorAll('form.component')) {
  const selects = [...form.querySelectorAll('select[data-uri]')];
  for (const select of selects) if (!('skip' in select.dataset)) fill(select);
  form.addEventListener('change', ({ target }) => {
    for (const select of selects) if (dependsOn(select).some((name) => target.name === 'field:' + name)) fill(select);
  });
  form.addEventListener('input', ({ target }) => {
    if (!target.dataset.for) return;
    clearTimeout(target.wait);
    target.wait = setTimeout(() => fill(form.elements[target.dataset.for], target.value), 150);
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    send(form);
  });
}
