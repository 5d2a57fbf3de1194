/** The browser's script. Every page works without it, but doesn't update itself. */
export const SCRIPT = `'use strict';
(() => {
  const header = 'X-Materialized-Views';
  const choice = document.querySelector('#poll');
  const saved = 'materialized-views-poll';
  let timer;

  // Makes one node like another, and leaves alone what is the same: focus, selection and scrolling stay.
  const become = (now, next) => {
    if (now.nodeType !== next.nodeType || now.nodeName !== next.nodeName) {
      now.replaceWith(next.cloneNode(true));
      return;
    }
    if (now.nodeType !== Node.ELEMENT_NODE) {
      if (now.nodeValue !== next.nodeValue) now.nodeValue = next.nodeValue;
      return;
    }
    for (const { name } of [...now.attributes]) if (!next.hasAttribute(name)) now.removeAttribute(name);
    for (const { name, value } of next.attributes) if (now.getAttribute(name) !== value) now.setAttribute(name, value);
    if (now.hasAttribute('data-keyed')) {
      order(now, next);
      return;
    }
    const [olds, news] = [[...now.childNodes], [...next.childNodes]];
    olds.slice(news.length).forEach((node) => node.remove());
    news.forEach((node, i) => (i < olds.length ? become(olds[i], node) : now.append(node.cloneNode(true))));
  };

  // Children with keys stay what they are where they change places.
  const order = (now, next) => {
    const known = new Map([...now.children].map((child) => [child.dataset.key, child]));
    const wanted = [...next.children].map((child) => {
      const same = known.get(child.dataset.key);
      if (!same) return child.cloneNode(true);
      become(same, child);
      return same;
    });
    const isSame = wanted.length === now.children.length && wanted.every((child, i) => child === now.children[i]);
    if (!isSame) {
      const focused = document.activeElement;
      now.replaceChildren(...wanted);
      focused.focus({ preventScroll: true });
    }
  };

  const renew = async () => {
    const live = document.querySelector('#live');
    try {
      const response = await fetch(location.href, { headers: { [header]: 'poll' } });
      const page = new DOMParser().parseFromString(await response.text(), 'text/html');
      const next = page.querySelector('#live');
      if (!response.ok || !next) throw new Error(response.status);
      document.querySelector('#lost').hidden = true;
      document.title = page.title;
      become(live, next);
    } catch {
      document.querySelector('#lost').hidden = false;
    }
  };

  const schedule = () => {
    clearTimeout(timer);
    const seconds = Number(choice.value);
    if (seconds > 0 && !document.hidden) {
      timer = setTimeout(() => renew().finally(schedule), seconds * 1000);
    }
  };

  if (choice && document.querySelector('#live')) {
    try {
      const value = localStorage.getItem(saved);
      if ([...choice.options].some((option) => option.value === value)) choice.value = value;
    } catch {}
    choice.closest('.poll').hidden = false;
    choice.addEventListener('change', () => {
      try { localStorage.setItem(saved, choice.value); } catch {}
      schedule();
    });
    document.addEventListener('visibilitychange', () => {
      clearTimeout(timer);
      if (!document.hidden && Number(choice.value) > 0) renew().finally(schedule);
    });
    schedule();
  }

  // Between two polls, a refresh that is running goes on.
  setInterval(() => {
    if (document.hidden) return;
    document.querySelectorAll('[data-elapsed]').forEach((element) => {
      const seconds = Number(element.dataset.elapsed) + 1;
      element.dataset.elapsed = seconds;
      element.textContent = seconds < 60 ? seconds + ' s' : Math.floor(seconds / 60) + ' min ' + (seconds % 60) + ' s';
    });
  }, 1000);

  // Over plain HTTP browsers do not say where a request comes from: the header does.
  if (!isSecureContext) {
    document.addEventListener('submit', async (event) => {
      const { target: form, submitter } = event;
      if (form.method !== 'post') return;
      event.preventDefault();
      const response = await fetch(submitter?.getAttribute('formaction') ?? form.getAttribute('action'), { method: 'POST', headers: { [header]: 'action' } });
      if (response.redirected) {
        location.href = response.url;
      } else {
        const page = new DOMParser().parseFromString(await response.text(), 'text/html');
        document.querySelector('main').replaceWith(page.querySelector('main'));
      }
    });
  }
})();
`;
