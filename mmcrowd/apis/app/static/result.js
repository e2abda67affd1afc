const SVG = 'http://www.w3.org/2000/svg';
const root = find('.result');
const stage = find('.stage');
const sheet = find('.sheet');
const marks = find('.marks');
const COLORS = ['#00c2e0', '#f0e442', '#e58fc0', '#36d399', '#ff8a4c', '#a78bfa'];
const NEAR = 14; // pixels of the screen around the first corner that close a zone

let answer = null; // what is shown
let corners = null; // of the zone that is being drawn, in pixels of the original; null: none is
let pointer = null;

function draw(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
const path = (points) => points.map(([x, y]) => `${x},${y}`).join(' ');

// --- what is shown

follow((value) => {
  const isOther = value.layers || !value.name;
  answer = value.name ? value : null;
  root.dataset.state = answer ? 'full' : 'empty';
  if (isOther) stopDrawing();
  if (!answer) return;
  if (value.layers) {
    find('.photo').src = value.layers.picture;
    find('.photo').alt = `${value.name}, ${people(value.count)} people`;
    find('.density').hidden = !value.layers.density;
    find('.density').src = value.layers.density ?? 'data:,';
    find('.scale').textContent = value.layers.scale;
    find('.legend').hidden = !value.layers.density;
    // The centre of the first pixel is at 0, so it begins at -0.5.
    marks.setAttribute('viewBox', `-0.5 -0.5 ${value.width} ${value.height}`);
    sheet.style.setProperty('--ratio', value.width / value.height);
    sheet.style.setProperty('--natural', `${value.layers.size[1]}px`);
    measure();
  }
  find('.count').textContent = people(value.count);
  find('.unit').textContent = people(value.count) === '1' ? 'person' : 'people';
  find('.name').textContent = value.name;
  find('.facts').textContent =
    `${value.points.length.toLocaleString('en')} points · ${value.width} × ${value.height} px · ` +
    `${value.seconds.toFixed(1)} s`;
  find('.model').textContent = value.model;
  find('.notes').replaceChildren(...value.notes.map((note) => make('li', {}, note)));
  const dots = value.points.map(([x, y]) => `M${x} ${y}h0`).join('');
  for (const drawn of element.querySelectorAll('.points')) drawn.setAttribute('d', dots);
  marks.style.setProperty('--radius', value.radius);
  find('.problem').textContent = value.problem ?? '';
  find('.problem').hidden = !value.problem;
  showZones();
});

function showZones() {
  const zones = answer.zones;
  find('.zones').replaceChildren(...zones.flatMap((zone, i) => {
    const color = COLORS[i % COLORS.length];
    const area = draw('polygon', { points: path(zone.polygon), stroke: color, fill: color });
    const [x, y] = zone.polygon.reduce((a, b) => [a[0] + b[0], a[1] + b[1]]).map((sum) => sum / zone.polygon.length);
    const label = draw('text', { x, y });
    label.textContent = `${zone.name}: ${people(zone.count)}`;
    return [area, label];
  }));
  find('.zone-table').hidden = !zones.length;
  find('[data-kind=zones]').disabled = !zones.length;
  find('.zone-table tbody').replaceChildren(...zones.map((zone, i) => make(
    'tr',
    {},
    make('td', {}, make('span', { class: 'swatch', style: `background:${COLORS[i % COLORS.length]}` }), make('input', {
      value: zone.name,
      'aria-label': 'Name of the zone',
      maxlength: 60,
      onchange: (event) => change(i, event.target.value.trim() || zone.name),
    })),
    make('td', { class: 'num' }, make('strong', {}, people(zone.count))),
    make('td', { class: 'num' }, String(zone.num_points ?? '–')),
    make('td', { class: 'num' }, answer.count > 0 ? `${Math.round((100 * zone.count) / answer.count)} %` : '–'),
    make('td', { class: 'num' }, make('button', {
      type: 'button',
      class: 'icon',
      'aria-label': `Remove ${zone.name}`,
      onclick: () => submit(answer.zones.filter((other) => other !== zone)),
    }, '×')),
  )));
}

const plain = ({ name, polygon }) => ({ name, polygon });
const submit = (zones) => trigger('zoned', { name: answer.name, zones: zones.map(plain) });
const change = (number, name) =>
  submit(answer.zones.map((zone, i) => (i === number ? { ...zone, name } : zone)));

/** Tell the marks how many pixels of the original one of the screen is. */
function measure() {
  const { width } = marks.getBoundingClientRect();
  if (answer && width) marks.style.setProperty('--unit', answer.width / width);
}
new ResizeObserver(measure).observe(sheet);

// --- layers, without asking the server

find('.opacity').addEventListener('input', (event) => {
  sheet.style.setProperty('--opacity', event.target.value / 100);
  find('.percent').textContent = `${event.target.value} %`;
});
find('.show-points').addEventListener('change', (event) => {
  root.classList.toggle('no-points', !event.target.checked);
});
find('.show-large').addEventListener('change', (event) => {
  root.classList.toggle('large', event.target.checked);
});
for (const button of element.querySelectorAll('.save button')) {
  button.addEventListener('click', () => trigger('saved', { kind: button.dataset.kind }));
}

// --- drawing a zone

/** Position of the pointer in pixels of the original, on the picture. */
function locate(event) {
  const box = marks.getBoundingClientRect();
  const place = (at, from, side, pixels) =>
    +(Math.min(Math.max((at - from) / side, 0), 1) * pixels - 0.5).toFixed(1);
  return [
    place(event.clientX, box.left, box.width, answer.width),
    place(event.clientY, box.top, box.height, answer.height),
  ];
}

function startDrawing() {
  corners = [];
  stage.classList.add('is-drawing');
  find('.draw').hidden = true;
  find('.drawing').hidden = find('.hint').hidden = false;
  find('.problem').hidden = true;
  stage.focus({ preventScroll: true });
  sketch();
}

function stopDrawing() {
  corners = pointer = null;
  stage.classList.remove('is-drawing');
  find('.draw').hidden = false;
  find('.drawing').hidden = find('.hint').hidden = true;
  find('.sketch').replaceChildren();
}

function sketch() {
  const line = pointer ? [...corners, pointer] : corners;
  const unit = answer.width / marks.getBoundingClientRect().width;
  const dots = corners.map(([cx, cy], i) =>
    draw('circle', { cx, cy, r: (i ? 4 : 7) * unit, class: i ? '' : 'first' }));
  find('.sketch').replaceChildren(draw('polygon', { points: path(line) }), ...dots);
  find('.finish').disabled = corners.length < 3;
  find('.undo').disabled = !corners.length;
}

function isFirst(event) {
  if (corners.length < 3) return false;
  const box = marks.getBoundingClientRect();
  const [x, y] = corners[0];
  const dx = event.clientX - box.left - ((x + 0.5) / answer.width) * box.width;
  const dy = event.clientY - box.top - ((y + 0.5) / answer.height) * box.height;
  return Math.hypot(dx, dy) < NEAR;
}

function undo() {
  corners.pop();
  sketch();
}

function finish() {
  if (corners.length < 3) return;
  const taken = answer.zones.map((zone) => zone.name);
  let number = 1;
  while (taken.includes(`Zone ${number}`)) number += 1;
  const zone = { name: `Zone ${number}`, polygon: corners };
  stopDrawing();
  submit([...answer.zones, zone]);
}

find('.draw').addEventListener('click', startDrawing);
find('.undo').addEventListener('click', undo);
find('.cancel').addEventListener('click', stopDrawing);
find('.finish').addEventListener('click', finish);
sheet.addEventListener('click', (event) => {
  if (!corners) return;
  if (isFirst(event)) {
    finish();
    return;
  }
  // The second click of a double click is no corner, but the end.
  if (event.detail > 1) {
    finish();
    return;
  }
  corners.push(locate(event));
  pointer = null;
  sketch();
});
sheet.addEventListener('pointermove', (event) => {
  if (!corners?.length || event.pointerType === 'touch') return;
  pointer = locate(event);
  sketch();
});
stage.addEventListener('keydown', (event) => {
  if (!corners) return;
  const action = { Enter: finish, Escape: stopDrawing, Backspace: undo }[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
