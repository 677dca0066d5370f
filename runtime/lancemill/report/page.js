// Enlarges a pair of pictures. Without script everything else on the page still works.
(() => {
  const dialog = document.getElementById("enlarged");
  if (!dialog) return;
  const buttons = [...document.querySelectorAll("button.pair")];
  const stage = dialog.querySelector(".stage");
  const caption = dialog.querySelector(".caption");
  const position = dialog.querySelector(".position");
  let at = 0;

  const show = (index) => {
    at = (index + buttons.length) % buttons.length;
    const button = buttons[at];
    stage.replaceChildren(...[...button.querySelectorAll(".half")].map((half) => {
      const figure = document.createElement("figure");
      const label = document.createElement("figcaption");
      const image = half.querySelector("img");
      figure.append(image ? image.cloneNode() : half.querySelector(".none").cloneNode(true));
      label.textContent = half.dataset.label + (half.dataset.about ? " · " + half.dataset.about : "");
      figure.append(label);
      return figure;
    }));
    caption.textContent = button.dataset.key;
    position.textContent = `${at + 1} of ${buttons.length}`;
  };

  buttons.forEach((button, index) => button.addEventListener("click", () => {
    show(index);
    dialog.showModal();
  }));
  dialog.querySelector(".previous").addEventListener("click", () => show(at - 1));
  dialog.querySelector(".next").addEventListener("click", () => show(at + 1));
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") show(at - 1);
    if (event.key === "ArrowRight") show(at + 1);
  });
  dialog.addEventListener("close", () => {
    const hidden = buttons[at].closest("details");
    if (hidden) hidden.open = true;
    buttons[at].focus();
  });
})();
