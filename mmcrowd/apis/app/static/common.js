// What the parts of the page share; it stands before each of their scripts.
const find = (selector) => element.querySelector(selector);

/** An element with attributes and children; texts are texts, never HTML. */
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children);
  return made;
}

/** Call a function with the value of this part, now and whenever the server changes it. */
function follow(show) {
  const again = () => { if (props.value) show(props.value); };
  watch('value', again);
  again();
}

const people = (count) => (count < 10 ? (Math.round(count * 10) / 10 + 0).toFixed(1) : Math.round(count).toLocaleString('en'));
