follow(({ rows }) => {
  find('.nothing').hidden = rows.length > 0;
  find('table').hidden = find('.clear').hidden = !rows.length;
  document.body.classList.toggle('has-pictures', rows.length > 0);
  find('tbody').replaceChildren(...rows.map((row) => make(
    'tr',
    { class: row.shown ? 'shown' : '', onclick: () => trigger('chosen', { name: row.name }) },
    make('td', {}, make('img', { src: row.thumb, alt: '' })),
    make('td', {}, make('button', { type: 'button', class: 'link', 'aria-current': row.shown ? 'true' : 'false' }, row.name)),
    make('td', { class: 'num' }, make('strong', {}, people(row.count)), row.notes.length ? make('span', { class: 'doubt', title: row.notes.join('\n') }, '!') : ''),
    make('td', { class: 'num' }, make('button', {
      type: 'button',
      class: 'icon',
      'aria-label': `Remove ${row.name}`,
      onclick: (event) => { event.stopPropagation(); trigger('removed', { name: row.name }); },
    }, '×')),
  )));
  const total = rows.reduce((sum, row) => sum + row.count, 0);
  find('.sum').textContent = rows.length === 1 ? '1 picture' : `${rows.length} pictures`;
  find('.total').textContent = people(total);
  find('tfoot').hidden = rows.length < 2;
});
find('.clear').addEventListener('click', () => trigger('removed', { name: null }));
