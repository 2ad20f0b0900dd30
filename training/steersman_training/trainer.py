"""One SAE that learns: its optimiser, its schedule, and how far it is."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from steersman_training.architectures import LEARNERS, Learner
from steersman_training.feature_use import FeatureUse
from steersman_training.run_files import Density, StepMetrics
from steersman_training.train_config import TrainConfig
from steersman_training.world import ALONE, World

L0_DECAY = 0.9
DENSITY_EDGES = tuple(edge / 4 for edge in range(-24, 1))


class Learnt(NamedTuple):
    """What one step has to show. Of all processes."""

    x: Tensor
    """This process's share of the batch, scaled."""
    loss: Tensor
    unexplained: Tensor
    grad_norm: Tensor
    shown: dict[str, Tensor]


class Trainer:
    """An SAE, its optimiser, and how far they are. `config` has nothing left to choose."""

    def __init__(self, config: TrainConfig, sample: Tensor, device: str, world: World = ALONE) -> None:
        """Start from `sample` `[tokens, d_model]` of the raw residual stream."""
        assert config.lr is not None and config.beta1 is not None and config.adam_eps is not None
        sample = sample.float()
        self.config, self.device, self.world = config, device, world
        self.peak_lr = config.lr
        self.step, self.l0_ema = 0, 0.0
        self.input_scale = sample.shape[1] ** 0.5 / sample.norm(dim=-1).mean().item()
        self.sae: Learner = LEARNERS[type(config.architecture)](config, sample * self.input_scale).to(device)
        self.sae.world = world
        self.use = FeatureUse(config.d_sae, config.dead_after, device)
        self.optimizer = torch.optim.Adam(
            self.sae.parameters(),
            lr=config.lr,
            betas=(config.beta1, config.beta2),
            eps=config.adam_eps,
            fused=True,
        )

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        config, total = self.config, self.config.num_steps
        rise = (self.step + 1) / max(1, config.lr_warmup * total)
        fall = (total - self.step) / max(1, config.lr_decay * total)
        return self.peak_lr * min(1.0, rise, fall)

    @property
    def done(self) -> bool:
        """Whether all steps are made."""
        return self.step == self.config.num_steps

    def learn(self, resid: Tensor) -> Learnt:
        """One step on `resid` `[batch, d_model]`, this process's share; what it shows is from before it."""
        sae, world = self.sae, self.world
        self.optimizer.param_groups[0]["lr"] = self.lr
        x = resid.to(self.device, non_blocking=True).float() * self.input_scale
        outcome = sae(x, progress=(self.step + 1) / self.config.num_steps, dead=self.use.dead)
        self.optimizer.zero_grad()
        outcome.loss.backward()
        for parameter in sae.parameters():
            if parameter.grad is not None:
                world.mean(parameter.grad)
        sae.before_step()
        grad_norm = self._shorten()
        self.optimizer.step()
        sae.after_step()
        self.use.observe(outcome.firings, len(x) * world.size, world)
        self.step += 1
        with torch.no_grad():
            unexplained = world.sum(outcome.error.clone()) / sae.variance(x)
            loss = world.mean(outcome.loss.detach().clone())
        return Learnt(x, loss, unexplained, grad_norm, outcome.shown)

    def _shorten(self) -> Tensor:
        """Make the gradient at most `max_grad_norm` long, in the optimiser's pass; its length before.

        Raises:
            ValueError: It is not finite.
        """
        grads = [parameter.grad for parameter in self.sae.parameters() if parameter.grad is not None]
        length = get_total_norm(grads)
        if not length.isfinite():
            raise ValueError(f"The gradient of step {self.step + 1} is {length.item()}: try a lower lr.")
        # what the fused optimiser divides gradients by, as it does for a gradient scaler
        setattr(self.optimizer, "grad_scale", (length / self.config.max_grad_norm).clamp(min=1.0))  # noqa: B010
        return length

    def metrics(self, learnt: Learnt, *, tokens_per_s: float, fidelity: float | None = None) -> StepMetrics:
        """The metrics of what `learn` returned; counts towards the average of L0."""
        with torch.no_grad():
            active = self.sae.active(learnt.x).sum() / len(learnt.x)
        l0 = self.world.mean(active).item()
        self.l0_ema = l0 if not self.l0_ema else L0_DECAY * self.l0_ema + (1 - L0_DECAY) * l0
        return StepMetrics(
            step=self.step,
            samples=self.step * self.config.batch_size,
            loss=learnt.loss.item(),
            explained_variance=1 - learnt.unexplained.item(),
            l0=l0,
            l0_ema=self.l0_ema,
            dead=len(self.use.dead),
            rare=self.use.num_rare,
            lr=self.optimizer.param_groups[0]["lr"],
            grad_norm=learnt.grad_norm.item(),
            tokens_per_s=tokens_per_s,
            fidelity=fidelity,
            **{name: value.item() for name, value in learnt.shown.items()},
        )

    def density(self) -> Density:
        """How often features were active lately."""
        density = self.use.density.cpu()
        alive = density[density > 0].log10().clamp(min=DENSITY_EDGES[0])
        found = torch.histogram(alive, torch.tensor(DENSITY_EDGES, dtype=torch.float64)).hist
        return Density(
            tokens=sum(self.use.state()["tokens"]),
            dead=len(self.use.dead),
            log10_edges=DENSITY_EDGES,
            counts=tuple(int(count) for count in found),
        )

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        return {
            "step": self.step,
            "l0_ema": self.l0_ema,
            "input_scale": self.input_scale,
            "sae": self.sae.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "use": self.use.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.step, self.l0_ema = state["step"], state["l0_ema"]
        self.input_scale = state["input_scale"]
        self.sae.load_state_dict(state["sae"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.use.restore(state["use"])
